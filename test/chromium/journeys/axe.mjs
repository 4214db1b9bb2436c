// What axe finds in a page. Evaluated by the driver, so no policy of the page has a say.
import {createRequire} from 'node:module';
import {readFileSync} from 'node:fs';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** Throws if axe finds a violation, or the page is wider than its window. */
export async function accessible(page, what) {
  // A colour on its way to another is neither: what moves for a moment, and not for ever, comes to rest first.
  await page.evaluate(() => Promise.allSettled(document.getAnimations().filter((a) => a.effect.getComputedTiming().endTime !== Infinity).map((a) => a.finished)));
  await page.evaluate(axe);
  const {violations} = await page.evaluate(() => window.axe.run(document, {resultTypes: ['violations']}));
  const found = violations.map((v) => `${v.id}: ${v.help} (${v.nodes.map((n) => n.target.join(' ')).join(', ')})`);
  if (found.length > 0) throw new Error(`axe in ${what}: ${found.join('; ')}`);
  if (await page.evaluate(() => document.documentElement.scrollWidth > innerWidth)) throw new Error(`${what} scrolls sideways`);
}
