package proxy

import (
	"net/http"

	"cloakroom/bff"
)

// CheckDestination refuses requests of elements that would run or show what an API answers inside a page: scripts,
// styles, images, frames, workers. Only calls (empty), navigations (document: what they get is sandboxed) and requests
// without metadata pass; on GuardOrigin routes also what an element shows without running it. A destination that is
// not known yet is refused. Forward checks it too; surfaces may do so earlier. Errors are *bff.Error with CodeForbidden.
// W3C Fetch Metadata section 2.1; ASVS 3.2.1 and 3.5.8.
func CheckDestination(r *http.Request, guard Guard) error {
	// Service Workers section 5: a worker registered from an API's answer would own the app's origin.
	if r.Header["Service-Worker"] != nil {
		return wrongDestination()
	}
	for _, dest := range r.Header["Sec-Fetch-Dest"] {
		switch dest {
		case "", "empty", "document":
		case "websocket": // no other request says so, and the route decides about those
			if !AsksForWebSocket(r) {
				return wrongDestination()
			}
		case "image", "audio", "video", "track":
			if guard != GuardOrigin {
				return wrongDestination()
			}
		default:
			return wrongDestination()
		}
	}
	return nil
}

func wrongDestination() error {
	return &bff.Error{Code: bff.CodeForbidden, Message: "This address answers calls only; it is nothing to embed."}
}
