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
