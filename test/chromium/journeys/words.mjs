// What people do and see in the demo, in one place for all journeys.

export const signInButton = (page) => page.getByRole('main').getByRole('button', {name: 'Sign in', exact: true});

/** Waits until the provider's page is there, and chooses a user. */
export async function chooseUser(page, name) {
  await page.getByRole('button', {name: new RegExp(name)}).click();
}

/** Opens the app and signs in; the page ends where it was opened. */
export async function signIn(page, url, name = 'Ada') {
  await page.goto(url);
  await signInButton(page).click();
  await chooseUser(page, name);
  await page.getByRole('banner').getByRole('button', {name: 'Sign out'}).waitFor();
}

/** Waits until something has the focus: what had it before may be gone for a moment before it is given on. */
export async function hasFocus(locator, why) {
  for (let i = 0; i < 200; i++) { // 10 s
    if (await locator.evaluate((element) => element === document.activeElement)) return;
    await locator.page().waitForTimeout(50);
  }
  const at = await locator.page().evaluate(() => document.activeElement?.outerHTML.slice(0, 200));
  throw new Error(`${why}: the focus is on ${locator}, not on ${at}`);
}

/** The number of the access token, as the page shows it. */
export async function tokenNumber(page) {
  return Number(await page.getByRole('region', {name: 'Access token'}).locator('.digits').first().innerText());
}

/**
 * Has the page ask the gateway at once, and again until what the answer brings is there: the first time it may take an answer that was
 * on its way.
 */
export const asksUntil = (page, selector) => page.waitForFunction((selector) => {
  if (document.querySelector(selector) !== null) return true;
  window.dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}));
  return false;
}, selector, {polling: 300});
