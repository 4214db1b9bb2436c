package surface

import "cloakroom/bff"

// reasons say to a person why a session is over, and what to do: a page's text and a problem's detail. What the gateway or
// the provider found out stands in the log; here is only what its user can make something of.
var reasons = map[bff.Reason]string{
	bff.ReasonSignedOut: "You signed out, here, in another app or from another device. Sign in to continue.",
	bff.ReasonProvider:  "You signed out of the sign-in service, or it ended your session. Sign in to continue.",
	bff.ReasonAdmin:     "An administrator signed you out. Sign in to continue.",
	bff.ReasonReplaced:  "A newer sign-in of this browser took the place of this one. Reload the page to go on with it.",
	bff.ReasonIdle:      "You were signed out because nothing was done here for a while. Sign in to continue.",
	bff.ReasonAbsolute:  "You were signed out because your sign-in has reached its longest time. Sign in to continue.",
	bff.ReasonLimit:     "You signed in on more devices than are allowed, and this was the one signed in longest ago. Sign in to continue here.",

	bff.ReasonRefreshRejected: "The sign-in service does not renew your session any more: you signed out in another app, or its time is over. Sign in to continue.",
	bff.ReasonRefreshLost:     "Your session could not be renewed, because the connection to the sign-in service broke at a bad moment. Sign in to continue.",
	bff.ReasonNoRefreshToken:  "Your session's time is over, and the sign-in service does not let it be renewed. Sign in to continue.",
	bff.ReasonIdentityChanged: "The sign-in service says that somebody else is signed in now. Sign in to continue.",
	bff.ReasonKeyRetired:      "Sessions from before a change of keys have been ended. Sign in to continue.",
	bff.ReasonLoginUndone:     "You were signed out while you were signing in. Sign in to continue.",
	bff.ReasonHandleReused:    "Your session was used from a place that should not have it, so it was ended. Sign in to continue; if that happens again, tell whoever runs this app.",
	bff.ReasonCodeReplayed:    "Your sign-in was presented twice, so it was ended. Sign in to continue; if that happens again, tell whoever runs this app.",
}

// Because returns the words for a reason; "" for one that is not known here, as an instance of a newer version may have left.
func Because(r bff.Reason) string { return reasons[r] }

// because puts the words of its reason into an error that has one.
func because(e *bff.Error) *bff.Error {
	words := Because(bff.Reason(e.Reason))
	if words == "" {
		return e
	}
	worded := *e
	worded.Message = words
	return &worded
}
