// A developer's hour at an app on Vite: signed in, the text of a component and a style are edited, Vite's own configuration is,
// Vite is stopped and started again. The page follows each time, and the session lives.
import {chooseUser} from './words.mjs';

export default async function ({origin, mode, profile, expect, ask, step}) {
  const context = await profile();
  const page = await context.newPage();
  const sockets = [], said = [], problems = [];
  let connected = 0;
  page.on('websocket', (socket) => {
    sockets.push(socket.url());
    socket.on('framereceived', ({payload}) => { if (String(payload).includes('"connected"')) connected++; });
    socket.on('close', () => { connected--; });
  });
  // What Vite tells while no page listens is told to nobody: whoever edits a file that soon reloads the page by hand.
  const edit = async (what) => {
    for (let tries = 0; connected < 1; tries++) {
      expect(tries < 150, `the page listens to Vite: ${sockets}`);
      await page.waitForTimeout(100);
    }
    await ask(what);
  };
  page.on('console', (message) => said.push(message.text()));
  page.on('pageerror', (error) => problems.push(String(error)));
  const heading = (text) => page.getByRole('heading', {name: text, level: 1}).waitFor();
  const coats = page.getByRole('button', {name: /^Coats/});
  const orders = page.getByRole('button', {name: /^Orders/});

  step('sign in');
  await page.goto(origin + '/rack/7');
  await page.getByRole('button', {name: 'Sign in'}).click();
  await chooseUser(page, 'Ada');
  await heading('Coats of the morning');
  expect(page.url() === origin + '/rack/7', `the very address, not ${page.url()}`);

  step('an API call');
  await orders.click();
  await page.getByText(/Orders: \d+ orders/).waitFor();

  step('state that only this page has');
  for (let i = 0; i < 3; i++) await coats.click();
  await page.getByText('Coats: 3').waitFor();
  await page.evaluate(() => { window.kept = true; });
  const same = async (when) => {
    expect(await page.evaluate(() => window.kept === true), `no reload ${when}`);
    expect(await coats.innerText() === 'Coats: 3', `the component keeps its state ${when}`);
  };

  step('edit the text of a component');
  await edit('text evening');
  await heading('Coats of the evening');
  await same('after an edited text');

  step('edit a style');
  await edit('style rgb(1, 2, 3)');
  await page.waitForFunction(() => getComputedStyle(document.querySelector('h1')).color === 'rgb(1, 2, 3)');
  await same('after an edited style');

  step('the session lives, and calls pass');
  await orders.click();
  await page.getByText(/Orders: \d+ orders/).waitFor();

  const allHere = () => {
    const astray = sockets.filter((url) => !url.startsWith(origin.replace('http', 'ws') + '/'));
    expect(sockets.length > 0 && astray.length === 0, `every WebSocket goes to the app's own origin, not to ${astray}, of ${sockets}`);
    expect(problems.length === 0, `no script fails: ${problems.join('; ')}`);
  };
  if (mode === 'vite') return allHere(); // what follows is then between the page and Vite, which it stands before

  step('a mistake in the code is shown over the page, and gone when it is mended');
  await edit('break');
  await page.locator('vite-error-overlay').waitFor();
  await edit('text night');
  await heading('Coats of the night');
  await page.locator('vite-error-overlay').waitFor({state: 'detached'});

  step("edit Vite's configuration: it starts anew, and so does the page");
  await edit('edition second');
  await page.getByText('edition second').waitFor();
  expect(await page.evaluate(() => window.kept === undefined), 'a reload, for everything may have changed');
  await coats.click();
  await page.getByText('Coats: 1').waitFor();
  await edit('text noon');
  await heading('Coats of the noon');
  expect(await coats.innerText() === 'Coats: 1', 'hot reload goes on after a new start');

  step('stop Vite: the page stands and says so in the console');
  said.length = 0;
  await ask('stop');
  for (let tries = 0; !said.some((line) => line.includes('server connection lost')); tries++) {
    expect(tries < 100, `Vite's client tells of it, not: ${said.join('; ')}`);
    await page.waitForTimeout(100);
  }
  await coats.click();
  await page.getByText('Coats: 2').waitFor();
  const other = await context.newPage();
  await orders.click(); // the gateway is there, and the session
  await page.getByText(/Orders: \d+ orders/).waitFor();
  const answer = await other.goto(origin + '/rack/8');
  expect(answer.status() === 502, `a page of the gateway's, not ${answer.status()}`);
  await other.getByText('Is the development server running at').waitFor();

  step('start it again: the page comes back by itself, signed in');
  await ask('text morning');
  await ask('start');
  await heading('Coats of the morning');
  await page.getByText('Coats: 0').waitFor();
  await other.getByRole('link', {name: 'Try again'}).or(other.getByRole('button', {name: 'Try again'})).click();
  await other.getByRole('heading', {name: 'Coats of the morning'}).waitFor();
  await edit('text end');
  await heading('Coats of the end');
  await orders.click();
  await page.getByText(/Orders: \d+ orders/).waitFor();

  allHere();
}
