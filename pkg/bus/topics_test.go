package bus

import (
	"testing"
	"time"
)

func TestNoCommandOutlivesItsOutcome(t *testing.T) {
	for _, keep := range []time.Duration{24 * time.Hour, 7 * 24 * time.Hour, 365 * 24 * time.Hour} {
		topics := append(ServiceTopics("ordering", true, 8, 1), Outcomes(8, 1))
		RetainOutcomes(topics, keep)
		for _, topic := range topics {
			want := topic.Config["retention.ms"]
			switch topic.Name {
			case OutcomesTopic:
				want = kept(keep)["retention.ms"]
			case "ordering.commands.v1":
				want = kept(min(CommandRetention, keep/2))["retention.ms"]
			case "ordering.events.v1":
				want = "-1"
			}
			if got := topic.Config["retention.ms"]; got != want {
				t.Errorf("outcomes kept for %s: %s is kept for %s ms, want %s", keep, topic.Name, got, want)
			}
		}
	}
}
