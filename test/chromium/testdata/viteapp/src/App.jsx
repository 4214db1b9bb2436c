import { useEffect, useState } from "react";

const header = { "X-CSRF": "1" };
const read = async (path) => (await fetch(path, { headers: header })).json();

export function App() {
  const [who, setWho] = useState();
  const [coats, setCoats] = useState(0);
  const [orders, setOrders] = useState("not asked");
  useEffect(() => void read("/bff/session").then(setWho), []);
  if (!who) return <p>One moment</p>;
  if (!who.authenticated) {
    return <button onClick={() => location.assign("/bff/login?return_to=" + encodeURIComponent(location.pathname))}>Sign in</button>;
  }
  const ask = async () => setOrders(`${(await read("/api/orders")).orders.length} orders`);
  return (
    <>
      <h1>Coats of the morning</h1>
      <p>
        {who.user.name}, edition {__EDITION__}
      </p>
      <button onClick={() => setCoats(coats + 1)}>Coats: {coats}</button>
      <button onClick={ask}>Orders: {orders}</button>
    </>
  );
}
