// Every state of the demo, the gateway's own pages and the provider's: no violation that axe can find, light and dark, wide and
// narrow; and the whole way by keyboard alone.
import {accessible} from './axe.mjs';
import {chooseUser, signIn, signInButton} from './words.mjs';

export default async function ({origin, profile, expect, step}) {
  for (const [name, options] of Object.entries({
    'light, wide': {colorScheme: 'light'},
    'dark, wide': {colorScheme: 'dark'},
    'light, a phone': {colorScheme: 'light', viewport: {width: 360, height: 740}},
    'dark, a phone': {colorScheme: 'dark', viewport: {width: 360, height: 740}},
  })) {
    step(name);
    const context = await profile(options);
    const page = await context.newPage();
    await page.goto(origin + '/');
    await signInButton(page).waitFor();
    await accessible(page, `${name}: signed out`);
    await page.goto(origin + '/?login_error=access_denied');
    await page.getByText('You did not sign in').waitFor();
    await accessible(page, `${name}: a sign-in that was cancelled`);
    await signInButton(page).click();
    await page.getByRole('button', {name: /Ada/}).waitFor();
    await accessible(page, `${name}: the provider's page`);
    await chooseUser(page, 'Ada');
    await page.getByText('Live: should you').waitFor();
    await accessible(page, `${name}: the overview`);
    await page.goto(origin + '/account');
    await page.getByRole('region', {name: 'Access token'}).getByText(/ago/).waitFor();
    await page.getByText('this one').waitFor();
    await accessible(page, `${name}: the account`);
    if (options.viewport !== undefined) {
      await page.evaluate(() => { document.documentElement.style.fontSize = '200%'; });
      await accessible(page, `${name}: the account in letters twice as large`);
    }
    await page.goto(origin + '/orders');
    await page.getByRole('heading', {name: 'Orders', level: 1}).waitFor();
    await page.getByRole('button', {name: 'Order', exact: true}).click(); // nothing filled in
    await page.locator('.mistake').first().waitFor();
    await accessible(page, `${name}: an order with a mistake`);
    await page.goto(origin + '/export');
    await page.getByRole('heading', {name: 'Export', level: 1}).waitFor();
    await accessible(page, `${name}: the export`);
    await page.goto(origin + '/bff/login?prompt=nonsense');
    await accessible(page, `${name}: an error page of the gateway`);
    await page.goto(origin + '/nowhere');
    await page.getByRole('heading', {level: 1}).waitFor();
    await accessible(page, `${name}: an address that is none`);
    const state = (route) => route.fulfill({status: 503, contentType: 'application/problem+json', body: '{"type":"urn:cloakroom:problem:draining","code":"draining","title":"Restarting","status":503}'});
    await context.route((url) => url.pathname === '/bff/session', state);
    await page.goto(origin + '/account');
    await page.getByRole('heading', {name: 'The gateway is restarting'}).waitFor();
    await accessible(page, `${name}: not known who is signed in`);
    await context.close();
  }

  step('by keyboard alone');
  const context = await profile({reducedMotion: 'reduce'});
  const page = await context.newPage();
  await page.goto(origin + '/');
  await signInButton(page).waitFor();
  const reach = async (name) => {
    for (let i = 0; i < 40; i++) {
      await page.keyboard.press('Tab');
      const here = await page.evaluate(() => document.activeElement?.getAttribute('aria-label') ?? document.activeElement?.textContent?.trim() ?? '');
      const label = await page.evaluate(() => (document.activeElement?.labels ?? [])[0]?.textContent ?? '');
      if (name.test(here) || name.test(label)) {
        const seen = await page.evaluate(() => {
          const s = getComputedStyle(document.activeElement);
          return s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) > 0 || s.boxShadow !== 'none';
        });
        expect(seen, `the focus can be seen on ${name}`);
        return;
      }
    }
    throw new Error(`${name} cannot be reached by Tab`);
  };
  await reach(/^Sign in$/);
  await page.keyboard.press('Enter');
  await page.getByRole('button', {name: /Ada/}).waitFor();
  await reach(/Ada/);
  await page.keyboard.press('Enter');
  await page.getByRole('button', {name: 'Sign out'}).waitFor();
  await reach(/^Skip to the content$/);
  await page.keyboard.press('Enter');
  expect(await page.evaluate(() => document.activeElement === document.querySelector('main')), 'past the header');
  await page.goto(origin + '/'); // from the top again
  await page.getByRole('button', {name: 'Sign out'}).waitFor();
  await reach(/^Orders$/);
  await page.keyboard.press('Enter');
  await page.getByRole('heading', {name: 'Orders', level: 1}).waitFor();
  expect(await page.evaluate(() => document.activeElement?.textContent) === 'Orders', 'a new page begins at its heading');
  await reach(/^Item$/);
  await page.keyboard.type('Umbrella');
  await page.keyboard.press('Enter');
  await page.locator('ul.orders li:not(.pending)').getByText('Umbrella').waitFor();
  await page.goto(origin + '/');
  await page.getByRole('button', {name: 'Sign out'}).waitFor();
  await reach(/^Sign out$/);
  await page.keyboard.press('Enter');
  await signInButton(page).waitFor();
}
