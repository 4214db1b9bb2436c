// An app that is rendered on a server: what only a browser can know is left open.
import assert from "node:assert/strict";
import { createClient } from "@cloakroom/client";
import { CloakroomProvider, RequireSession, SignedIn, SignedOut, useSession } from "@cloakroom/client/react";
import { createElement as h } from "react";
import { renderToString } from "react-dom/server";

const client = createClient();
const Status = () => h("i", null, useSession().status);
const html = renderToString(
  h(CloakroomProvider, { client },
    h(Status), h(SignedIn, null, "in"), h(SignedOut, null, "out"),
    h(RequireSession, { loading: h("b", null, "wait") }, "inside")),
);
assert.equal(html, "<i>loading</i><b>wait</b>");
console.log("rendered");
