import { CloakroomError } from "@cloakroom/client";
import { Link } from "./address.tsx";
import { OrderForm } from "./OrderForm.tsx";
import { isOpen, type Order, type Orders } from "./orders.ts";
import { useOrders } from "./Shop.tsx";
import { callFailed, sentence } from "./words.ts";

/** How many orders the overview shows. */
const few = 5;

/** Orders at a glance. */
export function OrdersCard() {
  const orders = useOrders();
  const open = orders.list?.filter(isOpen).length ?? 0;
  return (
    <section className="card" aria-labelledby="orders">
      <div className="title">
        <h2 id="orders">Orders</h2>
        {open > 0 && <span className="tag">{open} open</span>}
      </div>
      <OrderForm />
      <List orders={orders} most={few} />
      {(orders.list?.length ?? 0) > few && (
        <p>
          <Link href="/orders">All {orders.list?.length} orders</Link>
        </p>
      )}
    </section>
  );
}

/** All orders. */
export function OrdersPage() {
  const orders = useOrders();
  return (
    <div className="column">
      <h1 tabIndex={-1}>Orders</h1>
      <p className="fine">They live in the demo API, which knows you by the token that Cloakroom attached. This page only asked for them.</p>
      <section className="card" aria-label="New order and all orders">
        <OrderForm />
        <List orders={orders} most={Infinity} />
      </section>
    </div>
  );
}

function List({ orders, most }: { orders: Orders; most: number }) {
  const { list } = orders;
  if (list === undefined) {
    return <Unread orders={orders} />;
  }
  return (
    <>
      {orders.error !== null && <Behind orders={orders} />}
      {list.length === 0 ? (
        <p className="nothing">No orders yet. Place the first: it is packed after five seconds, and shipped after ten.</p>
      ) : (
        <ul className="orders">
          {list.slice(0, most).map((order) => (
            <Line key={order.id} order={order} />
          ))}
        </ul>
      )}
    </>
  );
}

function Line({ order }: { order: Order }) {
  const pending = order.status === "placing";
  return (
    <li className={pending ? "pending" : undefined}>
      <span className="times">{order.quantity} ×</span>
      <span className="item">{order.item}</span>
      <StatusTag order={order} />
      <span className="fine">
        {!pending && (
          <>
            <Link href={`/orders/${encodeURIComponent(order.id)}`}>{order.id}</Link> ·{" "}
          </>
        )}
        <When at={order.placed_at} short />
      </span>
    </li>
  );
}

const statuses: Record<Order["status"], string> = {
  placing: "placing…",
  placed: "placed",
  packed: "packed",
  shipped: "shipped",
  refunded: "refunded",
};

/** What has become of an order. */
export function StatusTag({ order }: { order: Order }) {
  return <span className={`status ${order.status}`}>{statuses[order.status]}</span>;
}

/** What stands in the place of orders that could not be read, or not yet: then it is as high as some of them. */
export function Unread({ orders: { error, reading, reload } }: { orders: Orders }) {
  if (error === null) {
    return (
      <>
        <p className="unseen" role="status">
          Asking the API for your orders…
        </p>
        <ul className="orders bones" aria-hidden="true">
          {[0, 1, 2].map((n) => (
            <li key={n} />
          ))}
        </ul>
      </>
    );
  }
  const words = callFailed(error);
  return (
    <div className="bad row" role="alert">
      <p>
        <strong>{sentence(words.title)}</strong> {words.text}
        {error instanceof CloakroomError && error.requestId !== undefined && <span className="fine"> Request {error.requestId}.</span>}
      </p>
      <button onClick={reload} aria-disabled={reading}>
        {reading ? "Trying…" : "Try again"}
      </button>
    </div>
  );
}

/** What is shown was read before, and could not be read again. */
function Behind({ orders: { error, reading, reload } }: { orders: Orders }) {
  return (
    <div className="behind row" role="status">
      <p>This list may be behind: {error === null ? "" : callFailed(error).title.toLowerCase()}.</p>
      <button onClick={reload} aria-disabled={reading}>
        {reading ? "Trying…" : "Try again"}
      </button>
    </div>
  );
}

const whole = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const brief = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric", hour: "numeric", minute: "2-digit" });

/** A moment, in the reader's own way of writing. */
export function When({ at, short = false }: { at: string; short?: boolean }) {
  const time = new Date(at);
  return Number.isNaN(time.getTime()) ? null : <time dateTime={at}>{(short ? brief : whole).format(time)}</time>;
}
