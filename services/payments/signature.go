package payments

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
	"time"

	"github.com/orderlane/orderlane/pkg/fault"
)

// signatureTolerance is how far the time of a callback's signature may be from ours: long enough
// for clocks that differ and for a slow network, short enough that an eavesdropper's copy is soon worth nothing.
const signatureTolerance = 5 * time.Minute

// maxSignatures bounds the signatures that are looked at: a provider sends two while its
// secret is changed.
const maxSignatures = 8

// Sign returns the header that signs a callback: t=<seconds>,v1=<HMAC-SHA256 in hex of "seconds.body">. It
// is Stripe's scheme, which the sandbox uses too.
func Sign(secret string, body []byte, at time.Time) string {
	t := strconv.FormatInt(at.Unix(), 10)
	return "t=" + t + ",v1=" + hex.EncodeToString(signature(secret, t, body))
}

func signature(secret, t string, body []byte) []byte {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(t + "."))
	mac.Write(body)
	return mac.Sum(nil)
}

// checkSignature refuses a callback that the provider has not signed, or not just now.
func checkSignature(header, secret string, body []byte, now time.Time) error {
	wrong := fault.Unauthenticated("webhook_signature_invalid", "the callback is not signed with the secret that was agreed on")
	var t string
	var given [][]byte
	for part := range strings.SplitSeq(header, ",") {
		switch name, value, _ := strings.Cut(part, "="); name {
		case "t":
			t = value
		case "v1":
			if mac, err := hex.DecodeString(value); err == nil && len(given) < maxSignatures {
				given = append(given, mac)
			}
		}
	}
	seconds, err := strconv.ParseInt(t, 10, 64)
	if err != nil || secret == "" {
		return wrong
	}
	want := signature(secret, t, body)
	for _, mac := range given {
		if hmac.Equal(mac, want) {
			if age := now.Sub(time.Unix(seconds, 0)); age > signatureTolerance || age < -signatureTolerance {
				return fault.Unauthenticated("webhook_too_old", "the callback was signed %s ago; sign it anew", age.Truncate(time.Second))
			}
			return nil
		}
	}
	return wrong
}
