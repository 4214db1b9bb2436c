// A browser that sends no cookie to a third party: signing in is pages alone, so one sign-in opens every app all the same.
import {mkdtempSync, mkdirSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {openAll} from './apps.mjs';

export default async function (given) {
  const {board, persistent, expect, step} = given;
  const folders = [];
  const browser = (mode) => {
    const folder = mkdtempSync(join(tmpdir(), 'chromium-'));
    folders.push(folder);
    mkdirSync(join(folder, 'Default'));
    writeFileSync(join(folder, 'Default', 'Preferences'), JSON.stringify({profile: {cookie_controls_mode: mode}}));
    return persistent(folder);
  };

  step('this browser blocks them, and an ordinary one does not');
  const ordinary = await browser(0);
  expect(await thirdPartySent(ordinary, given), 'an ordinary browser sends the cookie: else this shows nothing');
  await ordinary.close();
  const strict = await browser(1);
  expect(!await thirdPartySent(strict, given), 'this one does not');

  step('nobody is signed in: the silent sign-in says so quietly');
  const page = await strict.newPage();
  await page.goto(board + '/');
  await page.getByRole('heading', {name: 'You are not signed in'}).waitFor();
  expect(await page.locator('#said').innerText() === '', 'without a word of failure');
  expect(page.url() === board + '/', `at the app, with a clean address, not ${page.url()}`);
  await page.close();

  step('one sign-in opens every app');
  await openAll(strict, given);
  await strict.close();
  folders.forEach((folder) => rmSync(folder, {recursive: true, force: true}));
}

/** Whether a cookie that may go anywhere goes to another site's picture. */
async function thirdPartySent(context, {probe, ask}) {
  const page = await context.newPage();
  await page.goto(probe + '/set');
  await page.goto(probe.replace('127.0.0.1', 'outside.localhost') + '/outside', {waitUntil: 'load'});
  await page.close();
  return await ask('sent') === 'yes';
}
