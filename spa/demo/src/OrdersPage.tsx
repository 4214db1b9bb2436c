import type { ReactNode } from "react";
import { Link } from "./address.tsx";
import { OrderForm } from "./OrderForm.tsx";
import { type Order, type Orders, useOrders } from "./orders.ts";
import { callFailed } from "./words.ts";

/** How many orders the overview shows. */
const few = 4;

/** Orders at a glance. */
export function OrdersCard() {
  const orders = useOrders();
  return (
    <section className="card wide" aria-labelledby="orders">
      <h2 id="orders">Orders</h2>
      <OrderForm place={orders.place} />
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
      <p>They live in the demo API, which knows you by the token that Cloakroom attached. This page only asked for them.</p>
      <section className="card" aria-label="New order and all orders">
        <OrderForm place={orders.place} />
        <List orders={orders} most={Infinity} />
      </section>
    </div>
  );
}

/** One order, by its address. */
export function OrderPage({ id }: { id: string }) {
  const { list, error, reload } = useOrders();
  const order = list?.find((one) => one.id === id);
  return (
    <div className="column">
      <p>
        <Link href="/orders">← All orders</Link>
      </p>
      <h1 tabIndex={-1}>Order {id}</h1>
      {list === null ? (
        <Unread error={error} reload={reload} />
      ) : order === undefined ? (
        <p className="card">There is no such order of yours.</p>
      ) : (
        <Details order={order} />
      )}
    </div>
  );
}

function Details({ order }: { order: Order }) {
  return (
    <dl className="card details">
      <div>
        <dt>Item</dt>
        <dd>{order.item}</dd>
      </div>
      <div>
        <dt>Quantity</dt>
        <dd>{order.quantity}</dd>
      </div>
      <div>
        <dt>Placed</dt>
        <dd>
          <When at={order.placed_at} />
        </dd>
      </div>
    </dl>
  );
}

function List({ orders, most }: { orders: Orders; most: number }) {
  const { list, error, reload } = orders;
  if (list === null) {
    return <Unread error={error} reload={reload} />;
  }
  if (list.length === 0) {
    return <p className="waiting">No orders yet. Place the first: the call takes the same way as any other.</p>;
  }
  return (
    <ul className="orders">
      {list.slice(0, most).map((order) => (
        <li key={order.id || order.placed_at} className={order.id === "" ? "pending" : undefined}>
          <span className="times">{order.quantity} ×</span>
          <span className="item">{order.item}</span>
          <span className="fine">{order.id === "" ? "placing…" : <Placed order={order} />}</span>
        </li>
      ))}
    </ul>
  );
}

function Placed({ order }: { order: Order }): ReactNode {
  return (
    <>
      <When at={order.placed_at} /> · <Link href={`/orders/${encodeURIComponent(order.id)}`}>{order.id}</Link>
    </>
  );
}

function Unread({ error, reload }: Pick<Orders, "error" | "reload">) {
  if (error === null) {
    return <p className="waiting">Asking the API for your orders…</p>;
  }
  const words = callFailed(error);
  return (
    <div className="bad" role="alert">
      <p>
        <strong>{words.title}.</strong> {words.text}
        {error.requestId !== undefined && <span className="fine"> Request {error.requestId}.</span>}
      </p>
      <button onClick={() => void reload()}>Try again</button>
    </div>
  );
}

const clock = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

function When({ at }: { at: string }) {
  const time = new Date(at);
  return Number.isNaN(time.getTime()) ? null : <time dateTime={at}>{clock.format(time)}</time>;
}
