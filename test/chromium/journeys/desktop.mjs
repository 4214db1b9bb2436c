// The browser's part in a desktop app's sign-in and sign-out: the page that asks, the answer to the app's own port, no silent
// second time, and the way out.
import {accessible} from './axe.mjs';
import {chooseUser} from './words.mjs';

export default async function ({profile, ask, expect, step}) {
  const context = await profile({viewport: {width: 360, height: 740}});
  const page = await context.newPage();
  const refused = [];
  page.on('console', (message) => message.type() === 'error' && refused.push(message.text()));

  step('sign in for the app');
  await page.goto(await ask('authorize'));
  await chooseUser(page, 'Ada');
  await page.getByText('Ada Lovelace').waitFor();
  expect(!(await page.content()).includes('code='), 'no code in the page that asks');
  await accessible(page, 'the page that asks');
  await page.getByRole('button', {name: 'Continue'}).click();
  await page.getByText('Back to the app').waitFor(); // the app's own page, on its own port
  await ask('redeem');

  step('a second time is not silent, though nobody asks who one is');
  const dark = await context.newPage();
  await dark.emulateMedia({colorScheme: 'dark'});
  await dark.goto(await ask('authorize'));
  await dark.getByText('Ada Lovelace').waitFor();
  await accessible(dark, 'the page that asks, dark');
  await dark.getByRole('button', {name: 'Cancel'}).click();
  await dark.getByText('Back to the app').waitFor();
  await ask('cancelled');

  step('sign out');
  await page.goto(await ask('logout'));
  await page.getByText('You are signed out').waitFor();
  await accessible(page, 'the page after signing out');
  expect(new URL(page.url()).pathname === '/mobile/logged-out', `at ${page.url()}`);
  step('the provider asks anew');
  await page.goto(await ask('authorize'));
  await page.getByRole('button', {name: /Ada/}).waitFor();
  const blocked = refused.filter((text) => /Content Security Policy|form-action/.test(text));
  expect(blocked.length === 0, `nothing blocked by a policy: ${blocked.join('; ')}`);
}
