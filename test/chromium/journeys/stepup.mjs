// A refund that takes a sign-in of the last minutes.
import {chooseUser, hasFocus, signIn} from './words.mjs';

export default async function ({origin, issuer, profile, stored, ask, expect, step}) {
  const context = await profile({viewport: {width: 1280, height: 860}, colorScheme: 'light'});
  const page = await context.newPage();
  const button = (name) => page.getByRole('button', {name, exact: true});
  // The user gave a password an hour ago, and the provider knows that.
  const anHourLater = async () => {
    await ask('an-hour-later');
    await page.goto(origin + '/bff/login?return_to=/orders');
    await button('Order').waitFor();
    expect(page.url() === origin + '/orders', `signed in without a question, not ${page.url()}`);
  };
  // Places an order, and goes to its page; returns its number.
  const order = async (item, quantity) => {
    await page.getByLabel('Item').fill(item);
    await page.getByLabel('Quantity').fill(quantity);
    await button('Order').click();
    const line = page.locator('ul.orders li:not(.pending)').filter({hasText: item});
    const link = line.getByRole('link');
    const id = await link.innerText();
    await link.click();
    await page.getByRole('heading', {name: `Order ${id}`, level: 1}).waitFor();
    return id;
  };
  const refund = async () => {
    await button('Refund').click();
    await page.getByRole('dialog', {name: 'Please sign in again'}).waitFor();
  };
  const toProvider = async () => {
    await button('Sign in again').click();
    await page.getByRole('button', {name: /Ada/}).waitFor();
    expect(page.url().startsWith(issuer), `at the provider, not ${page.url()}`);
  };
  const back = async (id) => {
    await page.getByText(`Refund ${id} is ready to confirm.`).waitFor();
    expect(new URL(page.url()).pathname === `/orders/${id}`, `back at the very order, not ${page.url()}`);
  };
  const refunded = page.getByText('The money for this order is on its way back.');

  await signIn(page, origin + '/orders');
  const other = await context.newPage();
  await other.goto(origin + '/');
  await other.getByText('Live: should you').waitFor();

  step('a refund soon after the sign-in is made at once');
  await order('Felt hat', '10');
  await button('Refund').click();
  await refunded.waitFor();

  step('a later one is not, and it is told why');
  await anHourLater();
  const coat = await order('Winter coat', '12');
  await refund();
  await hasFocus(button('Sign in again'), 'in the dialog');
  await button('Not now').click();
  await page.getByRole('dialog').waitFor({state: 'detached'});
  await hasFocus(button('Refund'), 'back where it was');
  await refund();

  step('the provider asks, though it knows the user');
  await toProvider();
  expect(new URL(page.url()).searchParams.get('max_age') === '300', `the API's age is asked for, not ${page.url()}`);
  await chooseUser(page, 'Ada');

  step('back at the very order, and one click from the refund');
  await back(coat);
  await hasFocus(button('Refund'), 'on the button');
  expect(await refunded.count() === 0, 'nothing is paid back by coming back');
  await button('Refund').click();
  await refunded.waitFor();
  await hasFocus(refunded, 'where it is told');
  await page.reload();
  await refunded.waitFor();

  step('the other tab goes on, and was not asked');
  await other.getByText('Live: should you').waitFor();
  expect(await other.getByText('You are signed out').count() === 0 && await other.getByText('Somebody signed in anew').count() === 0, 'the other tab is signed in');
  await other.locator('ul.orders li').filter({hasText: 'Winter coat'}).getByText('refunded').waitFor();
  await other.getByLabel('Item').fill('Umbrella');
  await other.getByRole('button', {name: 'Order', exact: true}).click();
  await other.locator('ul.orders li:not(.pending)').getByText('Umbrella').waitFor();
  await stored(page);

  step('declined: nothing has changed');
  await anHourLater();
  const scarf = await order('Scarf', '11');
  await refund();
  await toProvider();
  await page.getByRole('button', {name: 'Do not sign in'}).click();
  await page.getByText('You did not sign in').waitFor();
  await back(scarf);
  await button('Refund').click();
  await page.getByRole('dialog', {name: 'Please sign in again'}).waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('dialog').waitFor({state: 'detached'});
  expect(await refunded.count() === 0, 'nothing is paid back');

  step('an API that is never content: one round, then a message');
  await ask('stubborn');
  await refund();
  await toProvider();
  await chooseUser(page, 'Ada');
  await back(scarf);
  await button('Refund').click();
  await page.getByRole('alert').getByText('Signing in does not help').waitFor();
  expect(await button('Sign in again').count() === 0, 'and nothing leads to one more round');
}
