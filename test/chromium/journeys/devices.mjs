// The list of devices: every app stands in it, another browser is ended from it, and this one is left alone.
import {accessible} from './axe.mjs';
import {openAll, shoot, watchFor} from './apps.mjs';
import {signIn} from './words.mjs';

export default async function (given) {
  const {demo, folder, within, profile, expect, step} = given;
  const context = await profile({viewport: {width: 360, height: 740}});
  const pages = await openAll(context, given);
  const other = await (await profile({userAgent: 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0'})).newPage();
  await signIn(other, demo + '/');
  await other.getByText('Live: should you sign out').waitFor();

  step('the list');
  await pages.demo.goto(demo + '/account');
  const list = pages.demo.getByRole('region', {name: 'Where you are signed in'});
  await list.getByText('Firefox on Linux').waitFor();
  const rows = await list.getByRole('listitem').allInnerTexts();
  expect(rows.length === 5, `four apps here and one elsewhere, not ${rows.length}: ${rows}`);
  expect(rows[0].includes('this one') && rows.filter((row) => row.includes('this one')).length === 1, `this one first: ${rows}`);
  await accessible(pages.demo, 'the list of devices on a phone');
  await pages.demo.emulateMedia({colorScheme: 'dark'});
  await accessible(pages.demo, 'the list of devices on a phone, dark');

  await pages.demo.emulateMedia({colorScheme: 'light'});
  await pages.demo.setViewportSize({width: 1280, height: 860});
  await list.evaluate((card) => scrollTo(0, card.offsetTop - 24));
  await shoot(pages.demo, folder, 'devices');

  step('all others are ended: the other browser knows, this one stays');
  const seen = await watchFor(other, 'You have signed out');
  const began = Date.now();
  await list.getByRole('button', {name: 'End all others'}).click();
  const took = await seen(within + 10_000) - began;
  expect(took <= within, `within ${within} ms, not ${took}`);
  await list.getByText('Firefox on Linux').waitFor({state: 'detached'});
  expect((await list.getByRole('listitem').count()) === 4, 'the apps of this sign-in are left');

  step('a profile by the token of the app');
  await pages.demo.getByRole('button', {name: 'Show my profile'}).click();
  await pages.demo.getByRole('region', {name: 'Your profile'}).getByText('ada@example.com').waitFor();

  step('staying signed in in another tab moves the countdown of this one');
  const tab = await context.newPage();
  await tab.goto(demo + '/account');
  const asked = pages.demo.waitForResponse((answer) => new URL(answer.url()).pathname === '/bff/session');
  await tab.getByRole('button', {name: 'Stay signed in'}).click();
  await asked;
}
