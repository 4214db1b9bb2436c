// The whole way through the demo by Tab, Shift+Tab, Enter, Space and Escape: what has the focus can be seen, nothing lies over it,
// it goes on in the order of reading, and it is never lost.
import {asksUntil, signIn} from './words.mjs';

export default async function ({origin, profile, ask, expect, step}) {
  const context = await profile({reducedMotion: 'reduce', acceptDownloads: true});
  const page = await context.newPage();
  const key = (name) => page.keyboard.press(name);
  // What has the focus, by its name, and what a person sees of that.
  const here = () => page.evaluate(() => {
    const at = document.activeElement;
    const box = at.getBoundingClientRect();
    const style = getComputedStyle(at);
    const hit = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
    return {
      name: at.getAttribute('aria-label') ?? at.labels?.[0]?.textContent ?? at.textContent.trim(),
      tag: at.tagName, top: box.top + scrollY, bottom: box.bottom + scrollY, left: box.left, right: box.right,
      ring: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2, seen: hit !== null && at.contains(hit),
      floats: at.closest('.float, header') !== null, modal: at.closest('dialog') !== null,
    };
  });
  const found = async (name, why) => {
    for (let i = 0; i < 200; i++) { // 10 s: what a press begins may take an answer
      const at = await here();
      if (at.tag !== 'BODY' && name.test(at.name)) return;
      await page.waitForTimeout(50);
    }
    const at = await here();
    expect(false, `${why}: the focus is on ${name}, not on ${at.tag} ${at.name}`);
  };
  // Presses Tab until it is at something; returns all it came by.
  const reach = async (name, press = 'Tab') => {
    const stops = [];
    for (let before = null; stops.length < 40;) {
      await key(press);
      const at = await here();
      if (at.tag === 'BODY') { // past the last: the browser's own controls, then from the top again
        before = null;
        continue;
      }
      stops.push(at.name);
      expect(at.ring && at.seen, `the focus can be seen on ${at.name}: ${JSON.stringify(at)}`);
      const back = press === 'Tab' ? [before, at] : [at, before];
      const [a, b] = back;
      const wrong = a && b && !a.floats && !b.floats && (b.bottom <= a.top && b.left < a.right || b.top < a.bottom && a.top < b.bottom && b.right <= a.left);
      expect(!wrong, `from ${before?.name} to ${at.name} in the order of reading`);
      before = at;
      if (name.test(at.name)) return stops;
    }
    throw new Error(`${name} cannot be reached by ${press}, only ${stops.join(', ')}`);
  };
  const same = (got, want, what) => expect(JSON.stringify(got) === JSON.stringify(want), `${what}: ${want}, not ${got}`);

  step('past the header, and in');
  await page.goto(origin + '/?login_error=access_denied');
  await page.getByRole('alert').waitFor();
  same(await reach(/^Dismiss$/), ['Skip to the content', 'Cloakroom Coats, to the start', 'Dismiss'], 'the first stops');
  await key('Enter');
  await found(/^Sign your users in/, 'a message that is dismissed');
  await reach(/^Skip/, 'Shift+Tab');
  await key('Enter');
  expect(await page.evaluate(() => document.activeElement === document.querySelector('main')), 'past the header');
  same(await reach(/^Sign in$/), ['Sign in'], 'after the skip link');
  await key('Enter');
  await page.getByRole('button', {name: /Ada/}).waitFor();
  await reach(/Ada/);
  await key('Enter');
  await page.getByRole('button', {name: 'Sign out'}).waitFor();
  await page.getByText('Live: should you').waitFor();
  same(await reach(/^Stay signed in$/), [
    'Skip to the content', 'Cloakroom Coats, to the start', 'Overview', 'Orders', 'Export', 'Account', 'Sign out', 'Item', 'Quantity', 'Order', 'Stay signed in',
  ], 'the stops of the overview');

  step('an order');
  await reach(/^Orders$/, 'Shift+Tab');
  await key('Enter');
  await found(/^Orders$/, 'a new page');
  same(await reach(/^Order$/), ['Item', 'Quantity', 'Order'], 'a page begins after its heading');
  await key('Space');
  await found(/^Item$/, 'a mistake');
  await page.keyboard.type('Umbrella');
  await reach(/^Quantity$/);
  await page.keyboard.press('ControlOrMeta+A');
  await page.keyboard.type('none');
  await key('Enter');
  await found(/^Quantity$/, 'the next mistake');
  await page.keyboard.press('ControlOrMeta+A');
  await page.keyboard.type('2');
  await key('Enter');
  await page.locator('ul.orders li:not(.pending)').getByText('Umbrella').waitFor();
  await found(/^Item$/, 'ready for the next one');

  step('a refund takes a sign-in');
  await ask('an-hour-later');
  await page.goto(origin + '/bff/login?return_to=/orders'); // quietly: the user does not notice
  await page.getByText('Umbrella').waitFor();
  const [id] = (await reach(/^ord_/)).slice(-1);
  await key('Enter');
  await found(new RegExp(`^Order ${id}$`), 'the order');
  same(await reach(/^Refund$/), ['Refund'], 'on the page of an order');
  await key('Space');
  await found(/^Sign in again$/, 'the dialog');
  const trapped = async (names) => {
    for (const press of ['Tab', 'Tab', 'Tab', 'Tab', 'Shift+Tab', 'Shift+Tab', 'Shift+Tab', 'Shift+Tab']) {
      await key(press);
      const at = await here();
      expect(at.tag === 'BODY' || at.modal && names.includes(at.name), `the focus stays in the dialog, not on ${at.name}`);
    }
  };
  await trapped(['Sign in again', 'Not now']);
  await key('Escape');
  await found(/^Refund$/, 'the dialog is closed');
  await key('Enter');
  await found(/^Sign in again$/, 'the dialog once more');
  await key('Enter');
  await page.getByRole('button', {name: /Ada/}).waitFor();
  await reach(/Ada/);
  await key('Enter');
  await page.getByText('is ready to confirm').waitFor();
  await found(/^Refund$/, 'back from the sign-in');
  await key('Enter');
  await found(/^The money for this order/, 'refunded');
  await reach(/^← All orders$/, 'Shift+Tab');
  await key('Enter');
  await found(/^Orders$/, 'back to the list');

  step('the export');
  await reach(/^Export$/, 'Shift+Tab');
  await key('Enter');
  await found(/^Export$/, 'the export');
  await reach(/^Export all orders$/);
  await key('Space');
  await page.getByRole('progressbar', {name: 'Export'}).waitFor();
  await found(/^Export all orders$/, 'begun');
  await reach(/^Cancel$/);
  await key('Enter');
  await found(/^Export all orders$/, 'cancelled');
  await key('Enter');
  await reach(/^Cancel$/);
  await found(/^Download$/, 'what had the focus is gone, and the file is there');
  const [download] = await Promise.all([page.waitForEvent('download'), key('Enter')]);
  expect(download.suggestedFilename().endsWith('.csv'), `a file, not ${download.suggestedFilename()}`);
  await found(/^Download$/, 'after the download');

  step('the session ends soon');
  await reach(/^Orders$/, 'Shift+Tab');
  await key('Enter');
  await found(/^Orders$/, 'the orders');
  await reach(/^Item$/);
  await page.keyboard.type('Scarf');
  const said = await page.evaluate(() => fetch('/bff/session', {headers: {'X-CSRF': '1'}}).then((r) => r.json()));
  const soon = (url) => url.pathname === '/bff/session';
  await context.route(soon, (route) => route.fulfill({json: {...said, session: {...said.session, idle_expires_in: 40}}}));
  await asksUntil(page, 'dialog[open]');
  await found(/^Stay signed in$/, 'the warning');
  await trapped(['Stay signed in', 'Sign out']);
  await key('Escape');
  await found(/^Item$/, 'the warning is closed');
  await context.unroute(soon);
  await reach(/^Stay signed in$/);
  await key('Space');
  await page.locator('.float .notice').waitFor({state: 'detached'});
  await found(/^Orders$/, 'the notice is gone, and the button with it');
  expect(await page.getByLabel('Item').inputValue() === 'Scarf', 'what was typed is still there');

  step('an outage');
  await context.route(soon, (route) => route.abort());
  await asksUntil(page, '.float .notice');
  await reach(/^Try now$/);
  await context.unroute(soon);
  await key('Enter');
  await page.locator('.float .notice').waitFor({state: 'detached'});
  await found(/^Orders$/, 'the outage is over');

  step('another sign-in is ended');
  const elsewhere = await (await profile()).newPage();
  await signIn(elsewhere, origin + '/');
  await reach(/^Account$/, 'Shift+Tab');
  await key('Enter');
  await found(/^Ada Lovelace$/, 'the account');
  await page.getByText('this one').waitFor();
  await reach(/^End web, Chrome/);
  await key('Enter');
  await page.getByRole('button', {name: /^End web, Chrome/}).waitFor({state: 'detached'});
  await found(/^Where you are signed in$/, 'the line is gone, and its button');
  await reach(/^End all others$/);
  await key('Space');
  await found(/^End all others$/, 'all others are ended');
  await reach(/more fields/);
  await key('Enter');
  await page.getByRole('definition').filter({hasText: 'Mozilla'}).waitFor();
  await found(/more fields/, 'opened');

  step('and out');
  await reach(/^Sign out$/, 'Shift+Tab');
  await key('Enter');
  await page.getByRole('main').getByRole('button', {name: 'Sign in', exact: true}).waitFor();
  same(await reach(/^Sign in$/), ['Skip to the content', 'Cloakroom Coats, to the start', 'Sign in'], 'a visitor again');
}
