// The gateway is restarted under pages that are open: they say so by themselves, nobody is signed out, nothing is loaded anew, and
// both are live again.
import {accessible} from './axe.mjs';
import {signIn, signInButton} from './words.mjs';

export default async function ({origin, how, profile, ask, expect, step}) {
  const context = await profile();
  const page = await context.newPage();
  await signIn(page, origin + '/orders');
  const item = page.getByLabel('Item');
  await item.fill('Scarf');
  const other = await context.newPage();
  await other.goto(origin + '/');
  const live = other.getByRole('region', {name: 'Live'}).getByRole('status').getByText('Live', {exact: true});
  const hears = other.getByText('Live: should you');
  await live.waitFor();
  await hears.waitFor();
  for (const tab of [page, other]) await tab.evaluate(() => (window.sameDocument = true));

  step(`the gateway goes (${how})`);
  await ask(how);
  for (const tab of [page, other]) {
    const notice = tab.locator('.float .notice');
    await notice.getByText(/We cannot reach the gateway|The gateway is restarting/).waitFor({timeout: 30_000});
    await notice.getByText('You are still signed in.').waitFor();
    expect(!(await signInButton(tab).isVisible()), 'no way to sign in is offered: nobody is signed out');
    await accessible(tab, 'without the gateway');
  }
  await live.waitFor({state: 'hidden'});
  await hears.waitFor({state: 'hidden'});

  step('and comes back');
  await ask('start');
  for (const tab of [page, other]) await tab.locator('.float .notice').waitFor({state: 'detached', timeout: 45_000});
  await live.waitFor({timeout: 45_000});
  await hears.waitFor({timeout: 45_000});
  expect(await item.inputValue() === 'Scarf', 'what was typed is still there');
  await page.getByRole('button', {name: 'Order', exact: true}).click();
  await page.locator('ul.orders li:not(.pending)').getByText('Scarf').waitFor();
  await other.getByRole('region', {name: 'Live'}).getByRole('listitem').filter({hasText: 'Scarf'}).getByText('placed').waitFor();
  for (const tab of [page, other]) {
    expect(await tab.evaluate(() => window.sameDocument === true), 'no page was loaded anew');
  }

  step('a sign-out reaches the other tab as before');
  await page.getByRole('button', {name: 'Sign out'}).click();
  await other.getByRole('heading', {name: 'You have signed out'}).waitFor();
}
