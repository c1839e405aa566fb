package kafka

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill/message"
)

func TestAHandlerIsToldWhichAttemptItMakes(t *testing.T) {
	for name, mode := range map[string]Mode{"by turn": ByTurn, "by key": ByKey} {
		t.Run(name, func(t *testing.T) {
			_, cfg := fakeBroker(t)
			topic := newTopic(t, cfg, 1)
			fill(t, cfg, topic, 2, 2)
			s := subscriber(t, SubscriberConfig{Config: cfg, Group: topic, Mode: mode, RetryMin: time.Millisecond})
			var mu sync.Mutex
			got := make(map[int][]int)
			h := subscribe(t, s, topic, func(m *message.Message) error {
				d, _ := DeliveryFrom(m.Context())
				mu.Lock()
				defer mu.Unlock()
				got[number(m)] = append(got[number(m)], d.Attempt)
				if string(d.Key) == "" || d.Topic != topic || d.Offset != int64(number(m)) {
					return fmt.Errorf("attempt %d says it is %+v", d.Attempt, d)
				}
				if d.Attempt < 4 && number(m) == 1 {
					return errors.New("not yet")
				}
				return nil
			})
			eventually(t, "both messages", func() bool { stats := s.Stats(); return len(stats) == 1 && stats[0].Next == 2 })
			check(t, s.Close())
			h.wait()
			if !slices.Equal(got[0], []int{1}) || !slices.Equal(got[1], []int{1, 2, 3, 4}) {
				t.Errorf("the attempts are %v", got)
			}
		})
	}
}

func TestPausesAreSpreadAndNeverLonger(t *testing.T) {
	const pause = time.Second
	seen := make(map[time.Duration]bool)
	for offset := range int64(200) {
		e := entry{source: &sarama.ConsumerMessage{Offset: offset}, failed: 3}
		d := e.spread(pause)
		if d <= pause/2-1 || d > pause {
			t.Fatalf("a pause of %s has become %s", pause, d)
		}
		if again := e.spread(pause); again != d {
			t.Fatalf("the same pause is %s and %s", d, again)
		}
		seen[d] = true
	}
	if len(seen) < 50 {
		t.Errorf("200 messages come back at %d times", len(seen))
	}
}
