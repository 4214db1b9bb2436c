// The apps of cloakroom-dev, as people open and leave them, and how soon a tab knows that it is signed out.
import {signInButton} from './words.mjs';

/** Opens the four apps that live in a browser, the first with a sign-in; none of the others may ask anything. */
export async function openAll(context, {demo, board, notes, docs, provider, expect}) {
  const pages = {demo: await context.newPage()};
  await pages.demo.goto(demo + '/');
  await signInButton(pages.demo).click();
  await pages.demo.getByRole('button', {name: /Ada/}).click();
  await pages.demo.getByText('Live: should you sign out').waitFor();
  const asked = [];
  context.on('page', (page) => page.on('framenavigated', (frame) => frame.url().startsWith(provider) && asked.push(frame.url())));
  for (const [name, url, heading] of [['board', board, 'Ada Lovelace'], ['notes', notes, 'Your notes'], ['docs', docs, 'Welcome. You are in']]) {
    pages[name] = await context.newPage();
    await pages[name].goto(url + '/');
    await pages[name].getByRole('heading', {name: heading, level: 1}).waitFor();
    expect(pages[name].url() === url + '/', `${name} at its own address, not ${pages[name].url()}`);
  }
  expect(asked.length === 0, `no page of the provider on the way: ${asked}`);
  await pages.notes.getByText('Signed in as Ada Lovelace').waitFor();
  await pages.board.locator('#events', {hasText: 'connected'}).waitFor();
  await pages.board.locator('#socket', {hasText: /\d tick/}).waitFor();
  return pages;
}

/** Has a tab note when a text shows up in it, by itself. */
export async function watchFor(page, text) {
  await page.evaluate((text) => {
    window.seenAt = new Promise((resolve) => {
      const look = () => document.body.innerText.includes(text) && resolve(Date.now());
      new MutationObserver(look).observe(document.body, {childList: true, subtree: true, characterData: true});
      look();
    });
  }, text);
  return (late) => page.evaluate((late) => Promise.race([window.seenAt, new Promise((resolve) => setTimeout(resolve, late, Infinity))]), late);
}

/** When the requests to a path went out. */
export function sentTo(page, path) {
  return new Promise((resolve) => page.on('request', (request) => new URL(request.url()).pathname === path && resolve(Date.now())));
}

/** Where the provider asks who one is, a sign-in is not silent any more. */
export const asks = (page) => page.getByRole('button', {name: /Ada/}).waitFor();

/** Takes a picture for the documentation. */
export async function shoot(page, folder, name) {
  await page.evaluate(() => document.activeElement?.blur());
  await page.mouse.move(0, 0); // nothing is pointed at
  await page.screenshot({path: `${folder}/${name}.png`, animations: 'disabled'});
}
