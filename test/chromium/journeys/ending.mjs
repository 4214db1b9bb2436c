// A session that is about to end: the warning, and what can be done about it.
import {accessible} from './axe.mjs';
import {hasFocus, signIn, signInButton} from './words.mjs';

export default async function ({origin, end, profile, expect, step}) {
  const context = await profile({reducedMotion: 'no-preference'});
  const page = await context.newPage();
  const warning = page.getByRole('dialog', {name: /Your session ends/});
  const item = page.getByLabel('Item');
  await signIn(page, origin + '/orders');

  if (end === 'passes' || end === 'too long') {
    step('nobody answers: it says that it is over, and why');
    const why = end === 'passes' ? 'You were away for a while' : 'Your session is over';
    await warning.waitFor();
    await page.getByRole('heading', {name: why}).waitFor();
    expect(await warning.count() === 0, 'no warning of what has happened');
    await hasFocus(page.getByRole('heading', {name: why}), 'what happened');
    await page.waitForFunction(() => document.title === 'Signed out · Cloakroom Coats'); // the tab says it by its name
    await accessible(page, 'a session that ran out');
    step('the way on leads back to here');
    await signInButton(page).click();
    await item.waitFor();
    expect(page.url() === origin + '/orders', `back at the orders, not ${page.url()}`);
    return;
  }

  const first = end === 'idle' ? 'Stay signed in' : 'Sign in again';
  // Does something in the form before the warning comes. On a busy machine it may be there sooner: then it is answered, and all
  // begins anew.
  const inTime = async (act) => {
    for (let tries = 0; tries < 5; tries++) {
      await act();
      if (await item.evaluate((field) => field === document.activeElement)) return;
      await warning.getByRole('button', {name: first}).click();
      await warning.waitFor({state: 'detached'});
    }
    expect(false, 'the form has the focus before the warning comes');
  };
  await inTime(() => item.fill('Scarf'));
  const before = await item.boundingBox();
  step('the warning takes the focus');
  await warning.waitFor();
  await hasFocus(warning.getByRole('button', {name: first}), 'the way on');
  expect(await warning.getByRole('status').innerText() === '', 'the seconds are not read out');
  for (const [width, colorScheme] of [[1280, 'light'], [360, 'dark']]) {
    await page.setViewportSize({width, height: 740});
    await page.emulateMedia({colorScheme});
    await accessible(page, `the warning at ${width}, ${colorScheme}`);
  }
  await page.setViewportSize({width: 1280, height: 900});
  for (let i = 0; i < 5; i++) {
    await page.keyboard.press('Tab');
    expect(await page.evaluate(() => document.activeElement === document.body || document.activeElement.closest('dialog') !== null), 'the focus stays in the dialog');
  }
  const left = async () => Number((await warning.locator('.digits').innerText()).split(':')[1]);
  const now = await left();
  await page.waitForFunction((n) => Number(document.querySelector('dialog .digits')?.textContent.split(':')[1]) < n, now);

  step('closed, it goes on as a notice, the focus is back in the form, and nothing has moved');
  await page.keyboard.press('Escape');
  await warning.waitFor({state: 'detached'});
  await hasFocus(item, 'where it was');
  const after = await item.boundingBox();
  expect(after.x === before.x && after.y === before.y, 'the form stands where it stood');
  const notice = page.locator('.float').getByRole('button', {name: first});
  await accessible(page, 'the notice of the end');
  await page.setViewportSize({width: 360, height: 500});
  const box = await notice.boundingBox();
  expect(box.y + box.height <= 500, 'the notice is in view, however long the page is');
  await page.setViewportSize({width: 1280, height: 900});
  if (end === 'absolute') {
    step('a new sign-in leads back to here');
    await Promise.all([page.waitForEvent('framenavigated'), notice.click()]); // the provider knows the user: it may be back at once
    await item.waitFor();
    expect(page.url() === origin + '/orders', `back at the orders, not ${page.url()}`);
    return;
  }

  step('staying signed in takes it away; what was typed is still there');
  await notice.focus();
  await page.keyboard.press('Enter');
  await page.locator('.float .notice').waitFor({state: 'detached'});
  expect(await item.inputValue() === 'Scarf', 'what was typed is still there');
  await page.locator('[aria-live=polite]').getByText('You stay signed in.').waitFor({state: 'attached'});

  step('it comes again; staying in another tab takes it away in this one');
  await inTime(() => item.focus());
  const other = await context.newPage();
  await other.goto(origin + '/account');
  await warning.waitFor();
  await other.getByRole('dialog', {name: /Your session ends/}).getByRole('button', {name: 'Stay signed in'}).click();
  await warning.waitFor({state: 'detached'});
  await hasFocus(item, 'back where it was');
  await other.close();

  step('signing out instead');
  await warning.waitFor();
  await warning.getByRole('button', {name: 'Sign out'}).click();
  await signInButton(page).waitFor();
  expect((await context.cookies(origin)).every((c) => c.name !== '__Host-Http-web'), 'no session cookie');
}
