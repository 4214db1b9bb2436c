import {signIn, signInButton} from './words.mjs';

export default async function ({origin, profile, expect, ask, step}) {
  const context = await profile();
  const page = await context.newPage();
  await signIn(page, origin + '/orders');
  await page.getByLabel('Item').fill('Top hat');
  await page.getByRole('button', {name: 'Order', exact: true}).click();
  await page.locator('ul.orders li:not(.pending)').getByText('Top hat').waitFor();
  await page.evaluate(() => {
    window.marked = 1;
    addEventListener('pageshow', (e) => {
      window.shown = e.persisted;
      window.first = document.body.innerText;
    });
  });
  await page.goto('data:text/html,<title>elsewhere</title>hi');
  step('away');
  await page.evaluate(() => history.back());
  step('back asked');
  await page.waitForURL(origin + '/orders', {waitUntil: 'commit'});
  step('url ' + page.url());
  const got = await page.evaluate(() => JSON.stringify([window.marked, window.shown, window.first, performance.getEntriesByType('navigation')[0].notRestoredReasons]));
  step(got);
}
