// The provider ends its session, and its logout tokens end the apps'.
import {accessible} from './axe.mjs';
import {asks, openAll, watchFor} from './apps.mjs';
import {hasFocus} from './words.mjs';

export default async function (given) {
  const {provider, within, profile, expect, step} = given;
  const context = await profile();
  const pages = await openAll(context, given);
  await readable(pages.board, 'the board');
  const frames = [];
  pages.board.on('websocket', () => frames.push('a new WebSocket'));
  const inDemo = await watchFor(pages.demo, 'Your session at the sign-in service has ended');
  const inBoard = await watchFor(pages.board, 'Your session at the sign-in service has ended');
  const closed = await watchFor(pages.board, 'closed with the session (1008)');

  step('the provider ends its session');
  const page = await context.newPage();
  const began = Date.now();
  await page.goto(provider + '/end_session');
  for (const [name, seen] of Object.entries({'app one': inDemo, 'app two': inBoard, 'the WebSocket': closed})) {
    const took = await seen(within + 10_000) - began;
    step(`${name} knows ${took} ms after the page was asked for`);
    expect(took <= within, `${name} within ${within} ms, not ${took}`);
  }
  expect(frames.length === 0, 'no WebSocket is opened for nobody');
  await hasFocus(pages.board.locator('#title'), 'where it goes on');

  await readable(pages.board, 'the board, signed out');
  await readable(pages.demo, 'the demo, signed out by the provider');

  step('nobody is signed in anywhere');
  await pages.docs.reload();
  await asks(pages.docs);
  await pages.notes.reload();
  await asks(pages.notes);
}

/** No violation that axe can find, light and dark, wide and narrow. */
async function readable(page, what) {
  for (const colorScheme of ['light', 'dark']) {
    for (const width of [360, 1280]) {
      await page.emulateMedia({colorScheme});
      await page.setViewportSize({width, height: 800});
      await accessible(page, `${what}, ${colorScheme}, ${width}`);
    }
  }
}
