// Back and forward, with pages that the browser kept in its memory as they were: whoever is signed out is not seen again, and
// whoever is not finds everything as it stood.
import {chooseUser, hasFocus, signIn, signInButton} from './words.mjs';

export default async function ({origin, profile, stored, ask, expect, step}) {
  const context = await profile({reducedMotion: 'no-preference'});
  const [page, other] = [await context.newPage(), await context.newPage()];
  // What a person can see of the page.
  await context.addInitScript(() => {
    window.visibleText = () => (document.getElementById('root').checkVisibility({opacityProperty: true, visibilityProperty: true}) ? document.body.innerText : '');
  });
  const seen = () => page.evaluate(() => window.visibleText());
  const ofAda = /Lovelace|ada@example|Top hat/, ofGrace = /Hopper|grace@example|Bowler/;
  // Has the page keep what can be seen in each frame that is painted after it was away.
  const watch = () => page.evaluate(() => {
    window.frames_ = new Set();
    const look = () => (window.frames_.add(window.visibleText()), requestAnimationFrame(look));
    addEventListener('pagehide', () => window.frames_.clear());
    addEventListener('pageshow', look);
  });
  const restored = () => page.evaluate(() => window.frames_ !== undefined);
  const leave = () => page.goto('data:text/html,<title>Elsewhere</title>Elsewhere');
  const move = async (by, there) => {
    await page.evaluate((by) => void setTimeout(() => history.go(by)), by); // by the page, for a driver waits for a load that may not come
    await page.waitForURL(there, {waitUntil: 'commit'});
  };
  const item = page.getByLabel('Item');
  const order = async (what) => {
    await item.fill(what);
    await page.getByRole('button', {name: 'Order', exact: true}).click();
    await page.locator('ul.orders li:not(.pending)').getByText(what).waitFor();
  };

  step('away and back: everything as it stood, and it goes on');
  await signIn(page, origin + '/orders');
  await order('Top hat');
  await item.fill('Scarf');
  await other.goto(origin + '/account');
  await other.getByText('Live: should you').waitFor();
  await watch();
  await leave();
  await other.getByText('Live: should you').waitFor(); // the stream was the other's: it left none behind
  await move(-1, origin + '/orders');
  await item.waitFor();
  expect(await restored(), 'the page is the one that was left: else this shows nothing');
  expect(await item.inputValue() === 'Scarf', 'what was typed is still there');
  await hasFocus(item, 'the focus is kept');
  expect(await page.locator('ul.orders').getByText('Top hat').isVisible(), 'the orders are still there');

  step('signed out in the other tab: the browser has forgotten the page, and loads it anew');
  await watch();
  await leave();
  await other.getByRole('button', {name: 'Sign out'}).click();
  await signInButton(other).waitFor();
  await move(-1, origin + '/orders');
  await signInButton(page).waitFor();
  expect(!await restored(), 'it is not the page that was left');
  expect(!ofAda.test(await seen()), `nothing of Ada: ${await seen()}`);

  step('somebody else signs in');
  await signInButton(page).click();
  await chooseUser(page, 'Grace');
  await page.getByText('No orders yet').waitFor();
  expect(page.url() === origin + '/orders', `back where it began, not ${page.url()}`);
  await order('Bowler');
  await stored(page);

  step('signed out in this tab: neither Back nor Forward shows anything of anybody');
  await page.getByRole('link', {name: 'Account'}).click();
  await page.getByRole('heading', {name: /Grace/, level: 1}).waitFor();
  await page.getByRole('button', {name: 'Sign out'}).click();
  await signInButton(page).waitFor();
  await page.waitForURL(origin + '/');
  for (const [by, path] of [[-1, '/account'], [-1, '/orders'], [1, '/account'], [1, '/']]) {
    await move(by, origin + path);
    await signInButton(page).waitFor();
    const shown = await seen();
    expect(!ofAda.test(shown) && !ofGrace.test(shown), `nobody at ${path}: ${shown}`);
  }

  step('a session that is ended from another device: nothing is seen before the gateway has said so, and nothing afterwards');
  await signIn(page, origin + '/orders');
  await page.locator('ul.orders').getByText('Top hat').waitFor();
  await other.getByRole('heading', {name: /Ada/, level: 1}).waitFor();
  const elsewhere = await (await profile()).newPage();
  await signIn(elsewhere, origin + '/account');
  await watch();
  await leave();
  await elsewhere.getByRole('button', {name: 'End all others'}).click();
  await signInButton(other).waitFor();
  await ask('freeze');
  const question = page.waitForRequest((request) => new URL(request.url()).pathname === '/bff/session');
  await move(-1, origin + '/orders');
  await question;
  expect(await restored(), 'the page is the one that was left: else this shows nothing');
  expect(!ofAda.test(await seen()), `nothing of Ada before the gateway has answered: ${await seen()}`);
  await ask('thaw');
  await signInButton(page).waitFor();
  for (const frame of await page.evaluate(() => [...window.frames_])) {
    expect(!ofAda.test(frame), `nothing of Ada in any frame: ${frame}`);
  }
  expect(page.url() === origin + '/orders', `the way on leads back to here, not ${page.url()}`);
}
