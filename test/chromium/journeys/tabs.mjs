// Three tabs of one app: they share one stream, are signed out at once, say so, and one sign-in brings them all back.
import {watchFor} from './apps.mjs';
import {accessible} from './axe.mjs';
import {chooseUser, signIn, signInButton} from './words.mjs';

export default async function ({origin, within, profile, expect, step}) {
  const context = await profile();
  let streams = 0;
  context.on('request', (request) => { streams += new URL(request.url()).pathname === '/bff/events' ? 1 : 0; });
  const first = await context.newPage();
  await signIn(first, origin + '/');
  await first.getByText('Live: should you').waitFor();
  const [orders, account] = [await context.newPage(), await context.newPage()];
  await orders.goto(origin + '/orders');
  await orders.getByRole('heading', {name: 'Orders', level: 1}).waitFor();
  await account.goto(origin + '/account');
  await account.getByText('Live: should you').waitFor();
  expect(streams === 1, `one stream for all, not ${streams}`);

  step('signed out in one: the others say so, untouched');
  const seen = [await watchFor(orders, 'You have signed out'), await watchFor(account, 'You have signed out')];
  const began = Date.now();
  await first.getByRole('button', {name: 'Sign out'}).click();
  for (const [i, tab] of [orders, account].entries()) {
    const took = await seen[i](within + 10_000) - began;
    expect(took <= within, `tab ${i + 2} within ${within} ms, not ${took}`);
    expect(await tab.title() === 'Signed out · Cloakroom Coats', 'the tab says it by its name');
    expect(!/Lovelace|ada@example/.test(await tab.locator('body').innerText()), 'nothing of Ada in a tab that was left open');
  }
  await signInButton(first).waitFor();
  await accessible(orders, 'signed out elsewhere');
  await orders.emulateMedia({colorScheme: 'dark'});
  await orders.setViewportSize({width: 360, height: 740});
  await accessible(orders, 'signed out elsewhere, dark, on a phone');

  step('a sign-in in the second leads back to where it was, and brings the third back untouched');
  await signInButton(orders).click();
  await chooseUser(orders, 'Ada');
  await orders.getByRole('heading', {name: 'Orders', level: 1}).waitFor();
  expect(orders.url() === origin + '/orders', `back at the orders, not ${orders.url()}`);
  await account.getByRole('heading', {name: 'Ada Lovelace', level: 1}).waitFor();
}
