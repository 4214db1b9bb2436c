// A browser that keeps no cookies: a page explains, and nothing goes round in circles.
import {mkdtempSync, mkdirSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {accessibleInEveryLook} from './axe.mjs';
import {chooseUser, signInButton} from './words.mjs';

export default async function ({origin, profile, persistent, expect, step}) {
  step('the session cookie does not come back');
  const context = await profile();
  await context.route((url) => url.origin === origin && url.pathname === '/bff/landed', async (route) => {
    await context.clearCookies({name: '__Host-Http-web'}); // gone before the request that would bring it
    await route.continue();
  });
  const page = await context.newPage();
  let visits = 0;
  page.on('framenavigated', () => visits++);
  await page.goto(origin + '/');
  await signInButton(page).click();
  await chooseUser(page, 'Ada');
  await page.getByRole('heading', {name: 'Cookies are blocked'}).waitFor();
  await page.waitForTimeout(2000); // a circle would have gone round by now
  expect(page.url().startsWith(origin + '/bff/landed'), `stays at ${page.url()}`);
  expect(visits < 8, `few navigations, not ${visits}`);
  await page.getByRole('link', {name: 'Sign in'}).waitFor();
  await accessibleInEveryLook(page, 'cookies are blocked');

  step('a browser whose setting blocks all cookies');
  const folder = mkdtempSync(join(tmpdir(), 'chromium-'));
  mkdirSync(join(folder, 'Default'));
  writeFileSync(join(folder, 'Default', 'Preferences'), JSON.stringify({profile: {default_content_setting_values: {cookies: 2}}}));
  const strict = await persistent(folder);
  const bare = await strict.newPage();
  await bare.goto(origin + '/');
  await signInButton(bare).click();
  await chooseUser(bare, 'Ada');
  await bare.getByRole('heading', {name: 'Sign-in not found'}).waitFor();
  await bare.getByText(/blocking cookies/).waitFor();
  await accessibleInEveryLook(bare, 'the sign-in is not found');
  expect((await strict.cookies()).length === 0, 'not one cookie was kept');
  await strict.close();
  rmSync(folder, {recursive: true});
}
