// Redis is away for a while: the page says so and goes on by itself, and nobody is signed out.
import {signIn, signInButton} from './words.mjs';

export default async function ({origin, profile, expect, ask, step}) {
  const context = await profile();
  const page = await context.newPage();
  await signIn(page, origin + '/');
  const open = await context.newPage(); // is not touched
  await open.goto(origin + '/orders');
  const item = open.getByLabel('Item');
  const notice = open.locator('.float .notice');
  await item.fill('Scarf');
  step('Redis stops: a page that is open stays, and an order is not placed and not lost');
  await ask('redis-stop');
  await open.getByRole('button', {name: 'Order', exact: true}).click();
  await open.getByRole('alert').getByText('The gateway cannot reach its session store. You are still signed in.').waitFor({timeout: 30_000});
  await notice.getByText('We cannot reach the session store.').waitFor({timeout: 30_000});
  expect(await item.inputValue() === 'Scarf', 'what was typed is still there');
  step('a page that is loaded cannot know who is there');
  await page.reload();
  await page.getByText(/cannot reach the session store/).first().waitFor();
  expect(!(await signInButton(page).isVisible()), 'no way to sign in is offered: it would not help');
  const cookies = await context.cookies(origin);
  expect(cookies.some((c) => c.name === '__Host-Http-web'), 'the cookie is kept');
  const visit = await page.context().newPage();
  const answer = await visit.goto(origin + '/bff/session').catch(() => null);
  expect(answer !== null && [403, 503].includes(answer.status()), 'the gateway answers');
  await visit.close();
  step('Redis is back');
  await ask('redis-start');
  await page.getByRole('button', {name: 'Sign out'}).waitFor({timeout: 60_000});
  await page.getByRole('heading', {name: /Ada/, level: 1}).waitFor();
  await notice.waitFor({state: 'detached', timeout: 60_000});
  await open.getByRole('button', {name: 'Order', exact: true}).click();
  await open.locator('ul.orders li:not(.pending)').getByText('Scarf').waitFor();
}
