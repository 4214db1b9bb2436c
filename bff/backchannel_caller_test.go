package bff_test

import (
	"context"
	"testing"

	"cloakroom/bff"
)

// leaver is the store's markers at which whoever asked hangs up, in the middle of a sign-out.
type leaver struct {
	bff.Markers
	leave context.CancelFunc
}

func (l leaver) Mark(ctx context.Context, targets []bff.Target, m bff.Marker) error {
	l.leave()
	return l.Markers.Mark(ctx, targets, m)
}

// A provider that hangs up while its token is carried out, and a page that is left while its frame loads, leave nothing half
// done: a marker without its deletions would have users signed in until their next refresh.
//
// shows BCL-2.8 (the caller that is gone)
func TestASignOutWhoseCallerHangsUp(t *testing.T) {
	for _, channel := range []bff.Channel{bff.ChannelBack, bff.ChannelFront} {
		t.Run(string(channel), func(t *testing.T) {
			w := newWorld(t)
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			tells := w.tells(map[string]bff.LogoutToken{"token": {SID: "ses_1"}})
			a := w.instance(tells, func(p *bff.Ports) { p.Markers = leaver{p.Markers, leave} })
			root := w.login(a)
			var err error
			if channel == bff.ChannelBack {
				err = a.BackchannelLogout(ctx, []*bff.App{w.app}, bff.NewSecret("token"))
			} else {
				_, err = a.FrontchannelLogout(ctx, w.app.Provider, w.app.Provider.Issuer, "ses_1")
			}
			if err != nil || ctx.Err() == nil {
				t.Errorf("%v, hung up: %v", err, ctx.Err())
			}
			w.dead(a, root)
		})
	}
}
