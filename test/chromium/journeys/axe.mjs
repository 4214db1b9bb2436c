// What axe finds in a page. Evaluated by the driver, so no policy of the page has a say.
import {createRequire} from 'node:module';
import {readFileSync} from 'node:fs';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

// All rules of WCAG 2.2 A and AA and of best practice are on: axe's own choice, and these, which it leaves out because they are
// new. Off are those of AAA: a contrast of 7 to 1 is what a user asks for by prefers-contrast, and links of one name and purpose
// are what a list is made of; and p-as-heading, a guess that takes the countdown's figures for a heading.
const more = ['target-size', 'focus-order-semantics', 'label-content-name-mismatch', 'table-fake-caption', 'td-has-header'];

/** The rules about colours that are on. */
export const colours = ['color-contrast', 'link-in-text-block'];

/** Throws if axe finds a violation, or the page is wider than its window. only: the rules; all without them. */
export async function accessible(page, what, only) {
  // A colour on its way to another is neither: what moves for a moment, and not for ever, comes to rest first. Rest may set
  // something else in motion, as the pointer that is not above it any more: two frames later nothing moves, or it is waited for again.
  await page.evaluate(async () => {
    // One that is over is still there where its last frame stays (animation-fill-mode).
    const moving = () => document.getAnimations().filter((a) => a.playState !== 'finished' && a.effect.getComputedTiming().endTime !== Infinity)
      .map((a) => a.finished);
    do {
      await Promise.allSettled(moving());
      await document.documentElement.animate([], 34).finished;
    } while (moving().length > 0);
  });
  if (!await page.evaluate(() => 'axe' in window)) await page.evaluate(axe);
  const {violations} = await page.evaluate(([only, more]) => window.axe.run(document, {
    resultTypes: ['violations'],
    ...only ? {runOnly: {type: 'rule', values: only}} : {rules: Object.fromEntries(more.map((rule) => [rule, {enabled: true}]))},
  }), [only, more]);
  const found = violations.map((v) => `${v.id}: ${v.help} (${v.nodes.map((n) => n.target.join(' ')).join(', ')})`);
  if (found.length > 0) throw new Error(`axe in ${what}: ${found.join('; ')}`);
  if (await page.evaluate(() => document.documentElement.scrollWidth > innerWidth)) throw new Error(`${what} scrolls sideways`);
}

/** The same, wide and narrow, light and dark; and with letters twice as large on a narrow screen nothing goes beyond its edge. */
export async function accessibleInEveryLook(page, what, picture = async () => {}) {
  for (const width of [1280, 360]) {
    await page.setViewportSize({width, height: 860});
    for (const colorScheme of ['light', 'dark']) {
      await page.emulateMedia({colorScheme});
      // Only rules about colours can find in the dark what they do not find in the light.
      await accessible(page, `${what}, ${width} px, ${colorScheme}`, colorScheme === 'dark' ? colours : undefined);
      await picture(`${width}-${colorScheme}`);
    }
  }
  await page.setViewportSize({width: 320, height: 640}); // WCAG 2.2, 1.4.10: what 1280 px are at 400 %
  await page.evaluate(() => (document.documentElement.style.fontSize = '200%')); // 1.4.4
  const over = await page.evaluate(() => [...document.querySelectorAll('body *')].filter((e) => e.getBoundingClientRect().right > innerWidth + 1
    && e.getClientRects().length > 0 && !e.closest('.unseen')).map((e) => e.outerHTML.slice(0, 80)));
  await picture('320-large');
  await page.evaluate(() => (document.documentElement.style.fontSize = ''));
  await page.setViewportSize({width: 1280, height: 860});
  await page.emulateMedia({colorScheme: 'light'});
  if (over.length > 0) throw new Error(`${what}, with large letters on a small screen, goes beyond its edge: ${over}`);
}
