// Pages with scripts and styles in them, behind the gateway: allowed by their hashes at one origin, refused at the other.

export default async function ({origin, strict, tricks, browser, expect, step}) {
  const context = await browser.newContext();
  context.setDefaultTimeout(15_000);
  const page = await context.newPage();
  let refused = [];
  page.on('console', (message) => {
    const hash = /a hash \('(sha256-[^']+)'\)/.exec(message.text()); // of attributes too, which stand in no page here
    if (hash) refused.push(`${message.text().includes('inline style') ? 'style' : 'script'} ${hash[1]}`);
  });

  step('what stands in the page runs, before and after it is asked for again');
  for (const visit of [() => page.goto(origin + '/'), () => page.reload(), () => page.goto(origin + '/orders/7')]) {
    await visit();
    await page.waitForFunction(() => window.ran?.length === 2);
    const ran = await page.evaluate(() => window.ran.join());
    expect(ran === 'classic,module', `the script, and the module by its import map, not ${ran}`);
    expect(await page.locator('h1').evaluate((h) => getComputedStyle(h).color) === 'rgb(1, 2, 3)', 'with its style');
  }

  step('what gets into it does not');
  await page.locator('h1').click();
  await page.evaluate(() => {
    const script = document.createElement('script');
    script.textContent = "window.ran.push('injected')";
    document.body.append(script);
    document.body.insertAdjacentHTML('beforeend', `<img src="data:," onerror="window.ran.push('picture')"><iframe srcdoc="<script>parent.ran.push('frame')</script>"></iframe>`);
    const link = document.createElement('a');
    link.href = "javascript:window.ran.push('address')";
    document.body.append(link);
    link.click();
    return new Promise((done) => setTimeout(done, 300)); // what would run has run by then, on a busy machine too: the frame is the slowest
  });
  const after = await page.evaluate(() => window.ran.join());
  expect(after === 'classic,module', `nothing but what the build wrote, not ${after}`);
  expect(refused.length > 0, 'and the browser says so');

  step('the gateway allows what the browser would refuse, and nothing else');
  const wrong = [];
  for (const [i, trick] of tricks.entries()) {
    refused = [];
    await page.goto(`${strict}/trick${i}`);
    await page.evaluate(() => 0); // the console comes before
    const asked = [...new Set(refused)].sort();
    refused = [];
    const policy = await (await page.goto(`${origin}/trick${i}`)).headerValue('content-security-policy');
    await page.evaluate(() => 0);
    const allowed = ['script', 'style'].flatMap((kind) => (new RegExp(`${kind}-src ([^;]*)`).exec(policy)[1].match(/sha256-[^']+/g) ?? []).map((hash) => `${kind} ${hash}`)).sort();
    if (asked.join() !== allowed.join() || refused.length > 0) {
      wrong.push(`of ${JSON.stringify(trick)} the browser refuses ${asked}, the gateway allows ${allowed}, and then the browser refuses ${refused}`);
    }
  }
  expect(wrong.length === 0, `agreement: ${wrong.join('\n')}`);
}
