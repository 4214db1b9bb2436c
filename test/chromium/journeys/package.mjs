// An app that somebody made from the package: sign in, call, sign out, under the gateway's own policy.
import {chooseUser} from './words.mjs';

export default async function ({origin, profile, stored, expect, step}) {
  const context = await profile();
  const page = await context.newPage();
  const problems = [];
  page.on('pageerror', (error) => problems.push(String(error)));
  page.on('console', (message) => message.type() === 'error' && problems.push(`${message.text()} ${message.location().url}`));

  step('a first visit');
  const answer = await page.goto(origin + '/');
  const policy = answer.headers()['content-security-policy'] ?? '';
  expect(policy.includes("default-src 'none'") && !policy.includes('unsafe'), `the strict policy, not ${policy}`);
  const signIn = page.getByRole('button', {name: 'Sign in', exact: true});
  await signIn.waitFor();

  step('sign in');
  await signIn.click();
  await chooseUser(page, 'Ada');
  await page.getByRole('heading', {name: 'Hello Ada'}).waitFor();
  expect(page.url() === origin + '/', `back where it began, not ${page.url()}`);

  step('a call');
  await page.getByRole('button', {name: 'Call'}).click();
  await page.locator('output').getByText('usr_1001').waitFor();
  await stored(page);

  step('a second tab, which learns of the sign-out by itself');
  const other = await context.newPage();
  await other.goto(origin + '/');
  await other.getByRole('heading', {name: 'Hello Ada'}).waitFor();

  step('sign out');
  await page.getByRole('button', {name: 'Sign out'}).click();
  await signIn.waitFor();
  await other.getByRole('button', {name: 'Sign in', exact: true}).waitFor();
  expect(problems.length === 0, `no error in the console: ${problems}`);
}
