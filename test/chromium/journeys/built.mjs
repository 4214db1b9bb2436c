// A built app behind the gateway: how its files come, what its policy lets it do, and a tab of the build before.

export default async function ({origin, wide, works, browser, expect, ask, step}) {
  const context = await browser.newContext(); // no profile(): the body of a service worker's answer never comes to an end for it
  context.setDefaultTimeout(30_000);
  const page = await context.newPage();
  const problems = [], got = [];
  page.on('console', (message) => message.type() === 'error' && problems.push(`${message.text()} ${message.location().url}`));
  page.on('response', (response) => got.push(response));
  const path = (response) => new URL(response.url()).pathname;
  const header = async (of, name) => (await of.headerValue(name)) ?? '';

  step('a first visit, of a deep link');
  const first = await page.goto(origin + '/users/jane.doe');
  await page.waitForFunction(() => window.tried);
  expect(first.status() === 200 && await header(first, 'cache-control') === 'no-cache', 'the index is asked for each time');
  const assets = got.filter((r) => path(r).startsWith('/assets/'));
  expect(assets.length >= 2, `a script and a style, not ${assets.map(path)}`);
  const kept = new Set();
  for (const asset of assets) {
    if ((await header(asset, 'cache-control')).endsWith('immutable')) kept.add(path(asset)); // but for hashes that could be words
    expect(await header(asset, 'content-encoding') === 'gzip', `${path(asset)} comes as the build compressed it`);
  }
  expect(kept.size > 0, `names with a hash are kept: ${assets.map(path)}`);
  expect(problems.length === 0, `a strict policy hinders nothing that Vite builds: ${problems.join('; ')}`);

  step('a reload asks for the index alone');
  await page.reload();
  await page.waitForFunction(() => window.tried);
  const sizes = await page.evaluate(() => performance.getEntriesByType('resource').map((e) => [new URL(e.name).pathname, e.transferSize]));
  const asked = sizes.filter(([at, size]) => kept.has(at) && size > 0);
  expect(sizes.length > 0 && asked.length === 0, `no asset is asked for again, not ${asked}`);

  step('what the default policy lets it do');
  for (const [at, table] of [[origin, 'strict'], [wide, 'wide']]) {
    await page.goto(at + '/');
    await page.waitForFunction(() => window.tried);
    const tried = await page.evaluate((to) => window.tried(to), (at === origin ? wide : origin) + '/dot.svg');
    const wrong = Object.entries(works[table]).filter(([what, does]) => tried[what] !== does).map(([what]) => what);
    expect(wrong.length === 0 && Object.keys(tried).length === Object.keys(works[table]).length,
      `${table}: otherwise with ${wrong}: ${JSON.stringify(tried)}`);
  }

  step('a tab of the build before asks for a piece that is gone: an error, no page, and the new build after a reload');
  await page.goto(origin + '/');
  await page.getByRole('heading', {name: 'Edition first'}).waitFor();
  await ask('deploy second');
  got.length = 0;
  await page.getByRole('button', {name: 'More'}).click();
  await page.getByRole('heading', {name: 'Edition second'}).waitFor();
  const gone = got.filter((r) => r.status() === 404);
  expect(gone.length > 0, 'the old name is gone');
  for (const answer of gone) {
    expect(await header(answer, 'cache-control') === 'no-store' && (await header(answer, 'content-type')).startsWith('application/problem+json'),
      `${path(answer)} is no page: ${await header(answer, 'content-type')}`);
  }
  await page.getByRole('button', {name: 'More'}).click();
  await page.getByText('more of the second').waitFor();
  expect(await page.locator('#said').evaluate((p) => getComputedStyle(p).color) === 'rgb(1, 2, 3)', 'with its style');

  step('a service worker with navigation preload');
  await page.evaluate(async () => {
    await navigator.serviceWorker.register('/sw.js');
    await navigator.serviceWorker.ready;
  });
  const through = await page.goto(origin + '/orders/7');
  expect(through.fromServiceWorker() && through.status() === 200 && await header(through, 'x-through') !== '', 'a deep link through it');
  await page.getByRole('heading', {name: 'Edition second'}).waitFor();
  await ask('deploy third');
  await page.reload();
  await page.getByRole('heading', {name: 'Edition third'}).waitFor();
}
