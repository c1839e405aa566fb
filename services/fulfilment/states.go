package fulfilment

// State describes a step: what the process waits for in it, and who may do what.
type State struct {
	Step    Step
	Means   string
	Waits   string   // until when, and what happens then
	Next    []Step   // where it goes from here
	Cancel  string   // what becomes of a request to cancel
	Allowed []string // what people may do
}

const (
	undoneAtOnce  = "lines are given up at once"
	askedShipping = "shipping is asked; what was dispatched is not cancelled"
	tooLate       = "refused: already_dispatched"
	queued        = "it waits for the one before"
	nothingLeft   = "there is nothing to cancel"
	askUntil      = "asked again after 30 s, 1, 5 and 15 min, then every hour, with a word to staff"
)

// States describes every step, in the order of an order's life, for documentation.
func States() []State {
	return append(statesBefore(), statesAfter()...)
}

// statesBefore are those of an order that is not confirmed.
func statesBefore() []State {
	return []State{
		{
			StepAnnounced, "Something was told of the order before the order itself.", "for ever",
			[]Step{StepReserving, StepAnswering},
			"noted", nil,
		},
		{
			StepReserving, "Inventory is asked to reserve every line.", "1 min a try; after 3 the order is rejected",
			[]Step{StepPaying, StepAllocating, StepConfirming, StepUndoing, StepRejecting},
			undoneAtOnce,
			[]string{"customer: cancel", "customer: change the address"},
		},
		{
			StepPaying, "Payments is asked to authorise the money, and the discount code is redeemed.", "20 min; then the order is rejected; with a customer who has to act, until payments says that the time is up",
			[]Step{StepAllocating, StepConfirming, StepUndoing, StepRejecting},
			undoneAtOnce,
			[]string{"customer: complete the payment", "customer: cancel", "customer: change the address"},
		},
		{
			StepAllocating, "Inventory is asked to make reservations firm, or to reserve what has expired anew.", askUntil,
			[]Step{
				StepReserving, StepConfirming, StepDispatching, StepAwaitingStock, StepDelivering, StepStopping, StepUndoing,
				StepAnswering, StepRejecting,
			},
			undoneAtOnce,
			[]string{"customer: cancel what is not dispatched"},
		},
		{
			StepConfirming, "Ordering is told that stock and money are there.", askUntil,
			[]Step{StepAllocating, StepDispatching, StepAwaitingStock, StepUndoing, StepRejecting},
			undoneAtOnce,
			[]string{"customer: cancel"},
		},
		{
			StepRejecting, "Everything is given back, and ordering is told why.", askUntil,
			[]Step{StepRejected},
			"the rejection is the answer", nil,
		},
		{StepRejected, "The order could not be met; nothing is held.", "ended", []Step{StepRejecting}, nothingLeft, nil},
		{
			StepStopping, "Shipping is asked to keep back what is to be cancelled.", askUntil,
			[]Step{StepUndoing, StepAnswering, StepDispatching},
			queued,
			[]string{"staff: dispatch, and so win the race"},
		},
		{
			StepUndoing, "Stock is released and money given up: for cancelled lines, or at the end if nobody could collect it.", askUntil,
			[]Step{StepAnswering, StepRejecting, StepCapturing, StepRefunding, StepReturning, StepCancelled, StepCompleted},
			queued, nil,
		},
		{
			StepAnswering, "Ordering is told what became of the request to cancel.", askUntil,
			[]Step{
				StepReserving, StepPaying, StepAllocating, StepConfirming, StepDispatching, StepAwaitingStock, StepDelivering,
				StepCapturing, StepRefunding, StepReturning, StepStopping, StepUndoing, StepRejecting, StepCancelled, StepCompleted,
			},
			queued, nil,
		},
		{StepCancelled, "The order was given up; nothing is held.", "ended", []Step{StepUndoing}, nothingLeft, nil},
	}
}

// statesAfter are those of an order that is confirmed.
func statesAfter() []State {
	return []State{
		{
			StepDispatching, "Shipments are ready to go.", "for staff, without limit; shipping is told again after 1 h, 1, 7 and every 30 days",
			[]Step{StepAllocating, StepAwaitingStock, StepDelivering, StepStopping, StepUndoing, StepAnswering},
			askedShipping,
			[]string{"staff: dispatch", "customer: cancel what is not dispatched"},
		},
		{
			StepAwaitingStock, "Back-ordered lines wait for goods.", "for goods, without limit",
			[]Step{StepAllocating, StepDispatching, StepUndoing, StepAnswering},
			undoneAtOnce,
			[]string{"staff: receive stock", "customer: cancel what is not dispatched"},
		},
		{
			StepDelivering, "Everything is on its way.", "for the carrier, without limit",
			[]Step{StepCapturing, StepUndoing, StepReturning, StepRefunding, StepAnswering, StepCompleted},
			tooLate,
			[]string{"staff: deliver"},
		},
		{
			StepCapturing, "Everything has arrived, and payments is asked for the money.", askUntil,
			[]Step{StepUndoing, StepReturning, StepRefunding, StepAnswering, StepCompleted},
			tooLate,
			[]string{"customer: return"},
		},
		{
			StepReturning, "A customer sends goods back.", "98 days; goods that come later are taken back too",
			[]Step{StepCapturing, StepRefunding, StepAnswering, StepCompleted},
			tooLate,
			[]string{"staff: receive the return", "customer: return more"},
		},
		{
			StepRefunding, "Payments is asked to give money back.", askUntil,
			[]Step{StepCapturing, StepUndoing, StepReturning, StepAnswering, StepCompleted},
			tooLate,
			[]string{"customer: return more"},
		},
		{
			StepCompleted, "Everything was delivered and settled, or is noted for staff.", "ended",
			[]Step{StepUndoing, StepReturning, StepRefunding, StepAnswering},
			tooLate,
			[]string{"customer: return"},
		},
	}
}
