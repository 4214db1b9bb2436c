// A form of a server-rendered app, filled in with a session that ends elsewhere before it is sent.
import {accessible} from './axe.mjs';
import {openAll} from './apps.mjs';
import {signInButton} from './words.mjs';

export default async function (given) {
  const {notes, profile, expect, step} = given;
  const context = await profile();
  const {demo, notes: page} = await openAll(context, given);
  step('a note is written');
  await page.getByRole('link', {name: 'Write a note'}).click();
  await page.getByLabel('Title').fill('Zoë’s coat & 2 < 3');
  await page.getByLabel('Text').fill('An hour of work.\nAnd a second line: "quoted".');

  step('the session ends elsewhere, and the form is sent');
  await demo.getByRole('button', {name: 'Sign out'}).click();
  await signInButton(demo).waitFor();
  await page.getByRole('button', {name: 'Save the note'}).click();
  await page.getByRole('heading', {name: 'You are signed out'}).waitFor();
  for (const scheme of ['light', 'dark']) {
    for (const width of [360, 1280]) {
      await page.emulateMedia({colorScheme: scheme});
      await page.setViewportSize({width, height: 800});
      await accessible(page, `the page that keeps the form, ${scheme}, ${width}`);
    }
  }

  step('signing in in a new tab');
  const [tab] = await Promise.all([context.waitForEvent('page'), page.getByRole('link', {name: 'Sign in in a new tab'}).click()]);
  await tab.getByRole('button', {name: /Ada/}).click();
  await tab.getByRole('heading', {name: 'Signed in'}).waitFor();
  await accessible(tab, 'the page of the new tab');
  await tab.close();
  await page.bringToFront();
  await page.evaluate(() => window.dispatchEvent(new Event('focus')));
  await page.getByText('You are signed in as Ada Lovelace').waitFor();

  step('the form goes off by a click, as it was typed');
  await page.getByRole('button', {name: 'Send the form again'}).click();
  await page.getByRole('status').getByText('The note is saved.').waitFor();
  await page.getByRole('heading', {name: 'Zoë’s coat & 2 < 3'}).waitFor();
  await page.getByText('An hour of work. And a second line: "quoted".').waitFor();
  expect(new URL(page.url()).origin === notes, `at the notes, not ${page.url()}`);
  await accessible(page, 'the notes');
}
