package proxy

import (
	"context"
	"errors"
	"io"
	"net"

	"cloakroom/bff"
	"cloakroom/bff/proxy/upstream"
)

// judge turns what kept an answer from coming into what the caller is told. An upstream's faults have two faces, too
// late and anything else; the text of err is for the log alone. What could be tried again was, in package upstream.
func (x *exchange) judge(ctx context.Context, err error) error {
	if renewal, ok := errors.AsType[renewError](err); ok {
		return renewal.err
	}
	if known, ok := errors.AsType[*bff.Error](err); ok {
		return known
	}
	if x.in.Context().Err() != nil {
		return gone(x.in.Context(), err)
	}
	if x.body != nil {
		if fault := x.body.fault(); fault != nil {
			return bodyFault(fault)
		}
	}
	if down, ok := errors.AsType[*upstream.DownError](err); ok {
		return &bff.Error{
			Code: bff.CodeUpstreamUnavailable, Message: "The service cannot be reached.", RetryAfter: down.RetryAfter, Err: err,
		}
	}
	var timeout net.Error
	if ctx.Err() != nil || errors.As(err, &timeout) && timeout.Timeout() {
		return &bff.Error{Code: bff.CodeUpstreamTimeout, Message: "The service took too long.", Err: err}
	}
	return &bff.Error{Code: bff.CodeUpstreamUnavailable, Message: "The service cannot be reached.", Err: err}
}

// gone tells who ended the request's context: the session's end, or the frontend that went away.
func gone(ctx context.Context, err error) error {
	if ended, ok := errors.AsType[*bff.SessionEndedCause](context.Cause(ctx)); ok {
		return &bff.Error{
			Code: bff.CodeSessionEnded, Message: "This session has ended. Sign in to continue.",
			Reason: string(ended.Reason), Err: err,
		}
	}
	return &bff.Error{Code: bff.CodeClientGone, Message: "The request was abandoned.", Err: err}
}

// bodyFault judges an error in reading the frontend's body: too long, cut off, or garbled.
func bodyFault(fault error) error {
	if known, ok := errors.AsType[*bff.Error](fault); ok {
		return known
	}
	var network net.Error
	if errors.Is(fault, io.ErrUnexpectedEOF) || errors.As(fault, &network) {
		return &bff.Error{Code: bff.CodeClientGone, Message: "The request broke off.", Err: fault}
	}
	return &bff.Error{Code: bff.CodeBadRequest, Message: "The request's body is malformed.", Err: fault}
}
