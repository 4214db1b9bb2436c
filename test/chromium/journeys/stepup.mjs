// An order that takes a sign-in of the last minutes.
import {accessible} from './axe.mjs';
import {chooseUser, signIn} from './words.mjs';

export default async function ({origin, issuer, folder, profile, stored, ask, expect, step}) {
  const context = await profile({viewport: {width: 1280, height: 860}, colorScheme: 'light'});
  const page = await context.newPage();
  const button = (name) => page.getByRole('button', {name, exact: true});
  const shoot = async (name) => {
    for (const [width, colorScheme] of [[1280, 'light'], [360, 'dark']]) {
      await page.setViewportSize({width, height: 860});
      await page.emulateMedia({colorScheme});
      await accessible(page, `${name} at ${width}, ${colorScheme}`);
      await page.screenshot({path: `${folder}/${name}-${width}-${colorScheme}.png`, animations: 'disabled'});
    }
    await page.setViewportSize({width: 1280, height: 860});
    await page.emulateMedia({colorScheme: 'light'});
  };
  // The user gave a password an hour ago, and the provider knows that.
  const anHourLater = async () => {
    await ask('an-hour-later');
    await page.goto(origin + '/bff/login?return_to=/orders');
    await button('Order').waitFor();
    expect(page.url() === origin + '/orders', `signed in without a question, not ${page.url()}`);
  };
  const order = async (item, quantity) => {
    await page.getByLabel('Item').fill(item);
    await page.getByLabel('Quantity').fill(quantity);
    await button('Order').click();
  };
  const toProvider = async () => {
    await button('Sign in again').click();
    await page.getByRole('button', {name: /Ada/}).waitFor();
    expect(page.url().startsWith(issuer), `at the provider, not ${page.url()}`);
  };

  await signIn(page, origin + '/orders');
  await anHourLater();
  const other = await context.newPage();
  await other.goto(origin + '/');
  await other.getByText('Live: should you').waitFor();

  step('a small order is placed as ever');
  await order('Felt hat', '10');
  await page.locator('ul.orders li:not(.pending)').getByText('Felt hat').waitFor();

  step('a large one is not, and it is told why');
  await order('Winter coat', '12');
  await page.getByRole('alert').getByText('Please sign in again').waitFor();
  expect(await page.getByLabel('Item').inputValue() === 'Winter coat', 'what was typed is still there');
  await shoot('stepup-asked');

  step('the provider asks, though it knows the user');
  await toProvider();
  expect(new URL(page.url()).searchParams.get('max_age') === '300', `the API's age is asked for, not ${page.url()}`);
  await chooseUser(page, 'Ada');

  step('back where one was, with the order as it was');
  await page.getByText('Your order is as you left it.').waitFor();
  expect(page.url() === origin + '/orders', `back at the orders, not ${page.url()}`);
  expect(await page.getByLabel('Item').inputValue() === 'Winter coat' && await page.getByLabel('Quantity').inputValue() === '12', 'the order as it was');
  expect(await button('Order').evaluate((b) => b === document.activeElement), 'the focus is on the button');
  await shoot('stepup-back');
  await button('Order').click();
  await page.locator('ul.orders li:not(.pending)').getByText('Winter coat').waitFor();
  await page.getByText('Your order is as you left it.').waitFor({state: 'detached'});

  step('the other tab goes on, and was not asked');
  await other.getByText('Live: should you').waitFor();
  expect(await other.getByText('You are signed out').count() === 0 && await other.getByText('Somebody signed in anew').count() === 0, 'the other tab is signed in');
  await other.getByLabel('Item').fill('Umbrella');
  await other.getByRole('button', {name: 'Order', exact: true}).click();
  await other.locator('ul.orders li:not(.pending)').getByText('Umbrella').waitFor();
  await stored(page);

  step('declined: nothing has changed');
  await anHourLater();
  await order('Scarf', '11');
  await toProvider();
  await page.getByRole('button', {name: 'Do not sign in'}).click();
  await page.getByText('You did not sign in').waitFor();
  await page.getByText('Your order is as you left it.').waitFor();
  expect(page.url() === origin + '/orders', `back at the orders, not ${page.url()}`);
  await shoot('stepup-declined');
  await order('Scarf', '1');
  await page.locator('ul.orders li:not(.pending)').getByText('Scarf').waitFor();

  step('an API that is never content: one round, then a message');
  await ask('stubborn');
  await order('Cape', '11');
  await toProvider();
  await chooseUser(page, 'Ada');
  await page.getByText('Your order is as you left it.').waitFor();
  await button('Order').click();
  await page.getByRole('alert').getByText('Signing in does not help').waitFor();
  expect(await button('Sign in again').count() === 0, 'and nothing leads to one more round');
  await shoot('stepup-never');
}
