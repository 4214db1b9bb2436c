import { createClient } from "@cloakroom/client";

/** The one client of this page. Components below the provider may also take it from there; what is no component takes this. */
export const client = createClient();
