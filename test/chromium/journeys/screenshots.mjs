// Takes the pictures of docs/screenshots. The demo is used until there is something to see.
import {chooseUser, signInButton} from './words.mjs';

export default async function ({origin, folder, profile, ask, expect, step}) {
  const wide = {viewport: {width: 1280, height: 800}, deviceScaleFactor: 1, reducedMotion: 'reduce', locale: 'en-GB'};
  const phone = {viewport: {width: 360, height: 740}, deviceScaleFactor: 2, isMobile: true, hasTouch: true, reducedMotion: 'reduce', locale: 'en-GB'};
  const shoot = async (page, name, whole = false) => {
    step(name);
    await page.evaluate(() => document.activeElement?.closest('dialog') ?? document.activeElement?.blur());
    await page.mouse.move(0, 0); // nothing is pointed at
    await page.screenshot({path: `${folder}/${name}.png`, fullPage: whole, animations: 'disabled'});
  };

  const context = await profile({...wide, colorScheme: 'light'});
  const page = await context.newPage();
  await page.goto(origin + '/');
  await signInButton(page).waitFor();
  await shoot(page, 'signed-out');
  await signInButton(page).click();
  await chooseUser(page, 'Ada');
  await page.getByRole('region', {name: 'Live'}).getByRole('status').getByText('Live', {exact: true}).waitFor();
  const line = (of, item) => of.locator('ul.orders li:not(.pending)').filter({hasText: item});
  for (const [item, quantity, status] of [['Winter coat', '1', 'shipped'], ['Felt hat', '2', 'packed'], ['Umbrella', '1', 'placed']]) {
    await page.getByLabel('Item').fill(item);
    await page.getByLabel('Quantity').fill(quantity);
    await page.getByRole('button', {name: 'Order', exact: true}).click();
    await line(page, item).getByText(status, {exact: true}).waitFor({timeout: 30_000}); // the warehouse takes its time
  }
  await page.getByText('Live: should you').waitFor();
  await shoot(page, 'signed-in', true);
  await page.getByRole('link', {name: 'Account'}).click();
  await page.getByRole('region', {name: 'Access token'}).getByText(/ago/).waitFor();
  await page.waitForFunction(() => Number(document.querySelector('section[aria-labelledby=token] .digits')?.textContent) >= 2, null, {timeout: 60_000});
  await page.getByText('this one').waitFor();
  await shoot(page, 'account', true);

  const state = await context.storageState();
  expect(state.origins.length === 0, 'nothing in the storage of the origin');
  const dark = await profile({...wide, colorScheme: 'dark', storageState: state});
  const night = await dark.newPage();
  await night.goto(origin + '/');
  await night.getByText('Live: should you').waitFor();
  await line(night, 'Umbrella').waitFor();
  await shoot(night, 'dark', true);

  const hand = await (await profile({...phone, colorScheme: 'light', storageState: state})).newPage();
  await hand.goto(origin + '/orders');
  await line(hand, 'Umbrella').waitFor();
  await shoot(hand, 'phone');
  const soon = await profile({...phone, colorScheme: 'dark', storageState: state});
  const late = await soon.newPage();
  await late.goto(origin + '/orders');
  await line(late, 'Umbrella').waitFor();
  const said = await late.evaluate(() => fetch('/bff/session', {headers: {'X-CSRF': '1'}}).then((r) => r.json()));
  await soon.route((url) => url.pathname === '/bff/session', (route) => route.fulfill({json: {...said, session: {...said.session, idle_expires_in: 60}}}));
  await late.reload();
  await late.getByRole('dialog', {name: /Your session ends/}).waitFor();
  await line(late, 'Umbrella').waitFor();
  await shoot(late, 'ending');

  await ask('an-hour-later');
  await page.goto(origin + '/bff/login?return_to=/orders');
  await line(page, 'Winter coat').getByRole('link').click();
  await page.getByRole('button', {name: 'Refund'}).click();
  await page.getByRole('dialog', {name: 'Please sign in again'}).waitFor();
  await shoot(page, 'refund');

  await ask('redis-stop');
  await page.goto(origin + '/orders');
  await page.getByText(/cannot reach the session store/).first().waitFor();
  await shoot(page, 'error');
}
