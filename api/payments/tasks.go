package payments

import "time"

// TypeCallProvider is the message type of the gateway's tasks.
const TypeCallProvider = "orderlane.payments.call_provider.v1"

// CallProvider is a task of the gateway: what a provider is asked to do. The key is the
// provider's idempotency key; to ask again is to ask with the same key.
type CallProvider struct {
	OrderID     string    `json:"order_id"`
	Key         string    `json:"key"`
	Operation   Operation `json:"operation"`
	Provider    string    `json:"provider"`
	Method      string    `json:"method"`
	Amount      int64     `json:"amount,omitzero" doc:"Minor units"`
	Currency    string    `json:"currency"`
	PaymentKey  string    `json:"payment_key" doc:"The key that the authorisation was asked for with which this is about"`
	PaymentRef  string    `json:"payment_ref,omitzero" doc:"The provider's name for it, where it is known"`
	Final       bool      `json:"final,omitzero" doc:"Nothing more will be captured: the provider lets go of the rest"`
	ReplacesKey string    `json:"replaces_key,omitzero" doc:"An authorisation that is not needed once this one is given"`
	ReplacesRef string    `json:"replaces_ref,omitzero"`
	Attempt     int       `json:"attempt" doc:"From 1; later ones ask what became of the first"`
	First       time.Time `json:"first" doc:"When the first attempt was"`
}

// MessageType is the ce_type.
func (CallProvider) MessageType() string { return TypeCallProvider }
