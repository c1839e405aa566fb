package fulfilment

// Step is where the process of an order stands.
type Step string

// The steps.
const (
	StepAnnounced     Step = "announced"
	StepReserving     Step = "reserving"
	StepPaying        Step = "paying"
	StepAllocating    Step = "allocating"
	StepConfirming    Step = "confirming"
	StepStopping      Step = "stopping"
	StepUndoing       Step = "undoing"
	StepAnswering     Step = "answering"
	StepRejecting     Step = "rejecting"
	StepDispatching   Step = "dispatching"
	StepAwaitingStock Step = "awaiting_stock"
	StepDelivering    Step = "delivering"
	StepCapturing     Step = "capturing"
	StepRefunding     Step = "refunding"
	StepReturning     Step = "returning"

	StepCompleted Step = "completed"
	StepRejected  Step = "rejected"
	StepCancelled Step = "cancelled"
)

// Ended reports whether the process is over: nothing is held or owed, and nobody waits. A
// return of what was delivered takes it up again.
func (s Step) Ended() bool { return s == StepCompleted || s == StepRejected || s == StepCancelled }

// step names where the process stands: the first of what it waits for that is not past.
func (p *Process) step(w *waits) Step {
	switch {
	case w.announced:
		return StepAnnounced
	case p.Failed != nil && (w.answers() || !p.Closed):
		return StepRejecting
	case p.Failed != nil:
		return StepRejected
	case w.stopping > 0:
		return StepStopping
	case len(p.Cancels) > 0 && p.Cancels[0].Stage == CancelUndoing:
		return StepUndoing
	case len(p.Cancels) > 0:
		return StepAnswering
	case p.Confirm == "" && w.reserving > 0:
		return StepReserving
	case w.paying, w.action, w.redeeming:
		return StepPaying
	case w.reserving+w.allocating > 0:
		return StepAllocating
	case w.confirming:
		return StepConfirming
	case w.preparing > 0:
		return StepDispatching
	case w.backordered+w.refused > 0:
		return StepAwaitingStock
	case w.travelling > 0:
		return StepDelivering
	case w.capturing > 0:
		return StepCapturing
	case w.refunding > 0:
		return StepRefunding
	case w.returning > 0:
		return StepReturning
	case w.answers(): // the rest of the money, which nobody could collect, is let go
		return StepUndoing
	case len(p.live()) == 0:
		return StepCancelled
	}
	return StepCompleted
}

// State describes a step: what the process waits for in it, and who may do what.
type State struct {
	Step    Step
	Means   string
	Waits   string   // until when, and what happens then
	Next    []Step   // where it goes from here, but for requests to cancel and failures
	Cancel  string   // what becomes of a request to cancel
	Allowed []string // what people may do
}

const (
	undoneAtOnce  = "lines are given up at once"
	askedShipping = "shipping is asked; what was dispatched is not cancelled"
	queued        = "it waits for the one before"
	askUntil      = "asked again after 30 s, 1, 5 and 15 min, then every hour, with a word to staff"
)

// States describes every step, in the order of an order's life, for documentation.
func States() []State {
	return []State{
		{StepAnnounced, "Something was told of the order before the order itself.", "for ever", []Step{StepReserving, StepUndoing}, "noted", nil},
		{
			StepReserving, "Inventory is asked to reserve every line.", "1 min a try; after 3 the order is rejected",
			[]Step{StepPaying, StepAllocating, StepRejecting}, undoneAtOnce, []string{"customer: cancel", "customer: change the address"},
		},
		{
			StepPaying, "Payments is asked to authorise the money, and the discount code is redeemed.", "20 min; then the order is rejected",
			[]Step{StepAllocating, StepConfirming, StepRejecting}, undoneAtOnce,
			[]string{"customer: complete the payment", "customer: cancel", "customer: change the address"},
		},
		{
			StepAllocating, "Inventory is asked to make reservations firm, or to reserve what has expired anew.", askUntil,
			[]Step{StepConfirming, StepDispatching, StepAwaitingStock, StepRejecting}, undoneAtOnce, []string{"customer: cancel"},
		},
		{StepConfirming, "Ordering is told that stock and money are there.", askUntil, []Step{StepDispatching, StepAwaitingStock}, undoneAtOnce, []string{"customer: cancel"}},
		{
			StepDispatching, "Shipments are ready to go.", "for staff, without limit; shipping is told again after 1 h, 1, 7 and every 30 days",
			[]Step{StepAwaitingStock, StepDelivering}, askedShipping, []string{"staff: dispatch", "customer: cancel what is not dispatched"},
		},
		{
			StepAwaitingStock, "Back-ordered lines wait for goods.", "without limit", []Step{StepAllocating}, undoneAtOnce,
			[]string{"staff: receive stock", "customer: cancel what is not dispatched"},
		},
		{
			StepDelivering, "Everything is on its way.", "for the carrier, without limit", []Step{StepCapturing, StepReturning, StepCompleted},
			"refused: already_dispatched", []string{"staff: deliver"},
		},
		{
			StepCapturing, "Everything has arrived, and payments is asked for the money.", askUntil, []Step{StepCompleted},
			"refused: already_dispatched", []string{"customer: return"},
		},
		{StepStopping, "Shipping is asked to keep back what is to be cancelled.", askUntil, []Step{StepUndoing, StepAnswering}, queued, []string{"staff: dispatch, and so win the race"}},
		{StepUndoing, "Stock is released and money given up for cancelled lines.", askUntil, []Step{StepAnswering}, queued, nil},
		{
			StepAnswering, "Ordering is told what became of the request to cancel.", askUntil,
			[]Step{StepCancelled, StepReserving, StepPaying, StepAllocating, StepConfirming, StepDispatching, StepAwaitingStock, StepDelivering}, queued, nil,
		},
		{StepRejecting, "Everything is given back, and ordering is told why.", askUntil, []Step{StepRejected}, "the rejection is the answer", nil},
		{
			StepReturning, "A customer sends goods back.", "98 days; goods that come later are taken back too", []Step{StepRefunding, StepCompleted},
			"refused: already_dispatched", []string{"staff: receive the return", "customer: return more"},
		},
		{StepRefunding, "Payments is asked to give money back.", askUntil, []Step{StepReturning, StepCompleted}, "refused: already_dispatched", []string{"customer: return more"}},
		{StepCompleted, "Everything was delivered and settled, or is noted for staff.", "ended", []Step{StepReturning}, "refused: already_dispatched", []string{"customer: return"}},
		{StepRejected, "The order could not be met; nothing is held.", "ended", nil, "there is nothing to cancel", nil},
		{StepCancelled, "The order was given up; nothing is held.", "ended", nil, "there is nothing to cancel", nil},
	}
}
