// Takes the pictures of docs/screenshots. The demo is used until there is something to see.
import {chooseUser, signInButton, tokenNumber} from './words.mjs';

export default async function ({origin, folder, profile, ask, expect, step}) {
  const wide = {viewport: {width: 1280, height: 860}, deviceScaleFactor: 1};
  const shoot = async (page, name, whole = false) => {
    step(name);
    await page.evaluate(() => document.activeElement?.blur());
    await page.mouse.move(0, 0); // nothing is pointed at
    await page.screenshot({path: `${folder}/${name}.png`, fullPage: whole, animations: 'disabled'});
  };

  const context = await profile({...wide, colorScheme: 'light'});
  const page = await context.newPage();
  await page.goto(origin + '/');
  await signInButton(page).waitFor();
  await shoot(page, 'signed-out');
  await signInButton(page).click();
  await page.getByRole('button', {name: /Ada/}).waitFor();
  await shoot(page, 'provider');
  await chooseUser(page, 'Ada');
  await page.getByRole('button', {name: 'Sign out'}).waitFor();
  for (const [item, quantity] of [['Winter coat', '1'], ['Felt hat', '2'], ['Umbrella', '1']]) {
    await page.getByLabel('Item').fill(item);
    await page.getByLabel('Quantity').fill(quantity);
    await page.getByRole('button', {name: 'Order', exact: true}).click();
    await page.locator('ul.orders li:not(.pending)').getByText(item).waitFor();
  }
  await shoot(page, 'signed-in', true);
  await page.getByRole('link', {name: 'Account'}).click();
  await page.getByRole('region', {name: 'Access token'}).getByText(/ago/).waitFor();
  await page.waitForFunction(() => Number(document.querySelector('section[aria-labelledby=token] .digits')?.textContent) >= 2, null, {timeout: 60_000});
  await ask('long-tokens'); // the next one lives a minute, as in the world of make run
  await page.waitForFunction((n) => Number(document.querySelector('section[aria-labelledby=token] .digits')?.textContent) > n, await tokenNumber(page), {timeout: 60_000});
  await page.getByRole('region', {name: 'Access token'}).getByText(/\b[89] s/).first().waitFor({timeout: 30_000});
  await shoot(page, 'account', true);

  const state = await context.storageState();
  expect(state.origins.length === 0, 'nothing in the storage of the origin');
  const dark = await profile({...wide, colorScheme: 'dark', storageState: state});
  const night = await dark.newPage();
  await night.goto(origin + '/');
  await night.getByText('Live: should you').waitFor();
  await night.locator('ul.orders li').first().waitFor();
  await shoot(night, 'dark', true);

  const phone = await profile({viewport: {width: 360, height: 740}, deviceScaleFactor: 2, isMobile: true, colorScheme: 'light', storageState: state});
  const hand = await phone.newPage();
  await hand.goto(origin + '/');
  await hand.getByText('Live: should you').waitFor();
  await hand.locator('ul.orders li').first().waitFor();
  await shoot(hand, 'phone');

  await ask('redis-stop');
  await page.reload();
  await page.getByText(/cannot reach the session store/).first().waitFor();
  await shoot(page, 'error');
}
