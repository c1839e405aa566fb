// Package kafka is where messages enter and leave a service: producers and the publisher put
// commands, events and outcomes on topics, the subscriber hands commands to handlers, and
// groups hand batches of records to projections.
//
// It hides the two client libraries: Sarama (produce, consumer groups) and kafka-go (admin,
// single partitions). Only Watermill's message.Publisher and message.Subscriber show through.
//
// Which one to take:
//   - NewPublisher: one message at a time behind Watermill's command bus.
//   - NewGatheringPublisher: the same for one broker, such as the embedded one, for less.
//   - NewProducer: batches from many callers, such as outcomes.
//   - NewOrderedProducer: batches of one caller that keep their order through errors.
//   - NewTransactionalProducer: the same, and all of a batch or nothing, and fencing: a relay
//     that shares its topic with a successor.
//   - NewSubscriber: a window of messages in flight, for Watermill's router.
//   - ConsumeGroup, ConsumeAll: batches of one partition, for owners that keep their own offsets.
package kafka
