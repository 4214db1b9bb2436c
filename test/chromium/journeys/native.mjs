// What people see of a phone's app in the system's browser: the page that asks, by keyboard and in every light and width, what it
// says where no app opens, the page of a claimed address whose app is missing, and an app on this computer that went away.
import {accessible} from './axe.mjs';
import {chooseUser} from './words.mjs';

const looks = {
  'light, wide': {colorScheme: 'light'},
  'dark, a phone': {colorScheme: 'dark', viewport: {width: 360, height: 740}, reducedMotion: 'reduce'},
  'light, a phone': {colorScheme: 'light', viewport: {width: 360, height: 740}},
  'dark, wide': {colorScheme: 'dark'},
};

export default async function ({apps, folder, profile, ask, expect, step}) {
  const refused = [];
  const open = async (context) => {
    const page = await context.newPage();
    page.on('console', (message) => message.type() === 'error' && refused.push(message.text()));
    // What moves by itself is counted by the browser; what moves after a click is not, so it is looked at below.
    await page.addInitScript(() => {
      window.moved = 0;
      new PerformanceObserver((list) => list.getEntries().forEach((e) => (window.moved += e.value))).observe({type: 'layout-shift', buffered: true});
    });
    return page;
  };
  const asks = (page, name) => page.getByRole('heading', {level: 1, name: new RegExp(name)}).waitFor();
  const button = (page, name) => page.getByRole('button', {name, exact: true});
  const picture = (page, name) => page.screenshot({path: `${folder}/${name}.png`});
  const context = await profile(looks['light, wide']);
  let page = await open(context);
  // Chromium asks the system for an app, in a dialog of its own that takes keys and clicks of the tab from then on.
  const anew = async (url) => {
    await page.close();
    page = await open(context);
    await page.goto(url);
  };

  step('the page that asks');
  await page.goto(apps.notes);
  await chooseUser(page, 'Ada');
  await asks(page, 'Field Notes');
  expect(!(await page.content()).includes('code='), 'no code in the page');
  await accessible(page, 'the page that asks');
  await picture(page, 'confirm');

  step('by keyboard, and no app is there');
  const places = () => page.evaluate(() => [...document.querySelectorAll('h1, dl, button')].map((e) => e.getBoundingClientRect().toJSON()));
  const before = JSON.stringify(await places());
  await page.keyboard.press('Tab');
  expect(await page.evaluate(() => document.activeElement.textContent === 'Continue' && getComputedStyle(document.activeElement).outlineStyle !== 'none'), 'the first stop is Continue, and can be seen');
  expect(await page.getByRole('status').innerText() === '', 'nothing is said before');
  const answered = page.waitForResponse((r) => r.request().method() === 'POST' && r.status() === 303);
  await page.keyboard.press('Enter');
  const to = (await answered).headers().location;
  expect(to.startsWith('com.example.notes:/signed-in?'), `the answer goes to ${to}`);
  await page.getByRole('status').getByText('You can go back to the app').waitFor();
  await page.getByRole('status').getByText('If nothing opened').waitFor();
  expect(await button(page, 'Continue').isDisabled() && await button(page, 'Cancel').isDisabled(), 'the buttons have done their work');
  expect(JSON.stringify(await places()) === before, 'nothing that was there has moved');
  expect(await page.evaluate(() => window.moved) === 0, 'nothing moved by itself');
  expect(!(await page.content()).includes(new URL(to).searchParams.get('code')), 'no code in the page afterwards');
  await accessible(page, 'the page afterwards');
  await picture(page, 'back-to-app');

  step('the way on: the same sign-in again, and this time no');
  expect(await page.evaluate(() => document.activeElement.id) === 'after', 'the keyboard is where it is told');
  await anew(await page.getByRole('link', {name: 'Start again'}).evaluate((a) => a.href));
  await asks(page, 'Field Notes');
  const declined = page.waitForResponse((r) => r.request().method() === 'POST' && r.status() === 303);
  await button(page, 'Cancel').click();
  const error = new URL((await declined).headers().location).searchParams.get('error');
  expect(error === 'access_denied', `the app is told ${error}`);
  await page.getByRole('status').getByText('You can go back').waitFor();

  step('long names, and names from right to left, in every look');
  await anew('about:blank');
  for (const [name, options] of Object.entries(looks)) {
    await page.emulateMedia({colorScheme: options.colorScheme, reducedMotion: options.reducedMotion ?? null});
    await page.setViewportSize(options.viewport ?? {width: 1280, height: 900});
    for (const [app, title] of name === 'light, a phone' ? [['long', 'warehouse'], ['yawmiyyat', 'يوميات']] : [['notes', 'Field Notes']]) {
      await page.goto(apps[app]);
      await asks(page, title);
      await accessible(page, `${name}: ${title}`);
      if (name === 'dark, a phone') await picture(page, 'confirm-phone');
    }
  }
  await button(page, 'Continue').click();
  await page.getByRole('status').getByText('If nothing opened').waitFor();
  await accessible(page, 'the page afterwards, dark');

  step('a claimed address, and no app is there');
  await anew(apps.links);
  await page.getByRole('heading', {name: /Open this in .*Trail Map/}).waitFor();
  const landed = new URL(page.url());
  expect(landed.pathname === '/open/map' && landed.searchParams.get('code'), `at ${page.url()}`);
  expect(!(await page.content()).includes(landed.searchParams.get('code')), 'no code in the page');
  await ask(`unlogged ${landed.searchParams.get('code')}`);
  await accessible(page, 'the page of a claimed address');
  await picture(page, 'missed-link');

  step('a program on this computer that went away');
  await page.goto(apps.desk);
  await asks(page, 'Order desk');
  const gone = page.waitForEvent('requestfailed', (r) => r.url().startsWith('http://127.0.0.1:'));
  await button(page, 'Continue').click();
  expect(/REFUSED/.test((await gone).failure().errorText), 'the browser says that nobody listens');

  step('without scripts a click goes to the app all the same');
  const plain = await profile({javaScriptEnabled: false});
  page = await plain.newPage();
  await page.goto(apps.notes);
  await chooseUser(page, 'Ada');
  const taken = page.waitForResponse((r) => r.request().method() === 'POST' && r.status() === 303);
  await button(page, 'Continue').click();
  expect(new URL((await taken).headers().location).searchParams.get('code'), 'a code for the app');

  const blocked = refused.filter((text) => /Content Security Policy|form-action/.test(text));
  expect(blocked.length === 0, `nothing blocked by a policy: ${blocked.join('; ')}`);
}
