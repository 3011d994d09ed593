import Dispatch
import Foundation
import StockQueueLocking
import StockQueuePostgres

/// The services of a worker process: the poller, the workers, the maintenance and the ledger checker.
package final class WorkerPool: Sendable {
    private let base: ConnectionSettings
    private let context: ServiceContext
    private let drains: Bool
    private let onlyDelivers: Bool
    private let changed = DispatchSemaphore(value: 0)
    private let threads = Mutex<[ServiceThread]>([])

    /// - Parameters:
    ///   - drains: stop when nothing is ready or due.
    ///   - onlyDelivers: run the deliverer alone.
    ///   - onEvent: takes what happens, from several threads at once.
    ///   - onFinished: for a producer in this process: takes the finished jobs of all producers. It calls `enqueued` when
    ///     it has committed jobs.
    package init(
        connection: ConnectionSettings, schema: QueueSchema, settings: WorkerSettings, drains: Bool = false,
        onlyDelivers: Bool = false, onEvent: @escaping WorkEventHandler = { _ in },
        onFinished: FinishedJobsHandler? = nil
    ) {
        self.onlyDelivers = onlyDelivers
        base = connection
        context = ServiceContext(schema: schema, settings: settings, onEvent: onEvent, onFinished: onFinished)
        self.drains = drains
    }

    /// Runs until `finish`, `abort`, or the end of a drain. Blocks the calling thread.
    package func run() {
        if onlyDelivers { return deliver() }
        let settings = context.settings
        context.onEvent(.started(.init(workers: settings.workers)))
        let poller = thread(Poller(context: context, drains: drains), startsAfter: nil)
        let others = services().map { thread($0, startsAfter: poller) }
        threads.withLock { $0 = [poller] + others }
        for thread in [poller] + others { thread.start() }
        // Whatever ended the poller, the workers get no more lanes. It does not end a drain while one of them works.
        wait(for: [poller])
        context.stop.finish()
        context.laneQueue.stop()
        wait(for: others)
        context.onEvent(.stopped)
    }

    private func deliver() {
        context.onEvent(.started(.init(workers: 0)))
        let deliverer = thread(Deliverer(context: context), startsAfter: nil)
        threads.withLock { $0 = [deliverer] }
        deliverer.start()
        wait(for: [deliverer])
        context.onEvent(.stopped)
    }

    /// Every service but the poller.
    private func services() -> [any WorkerService] {
        let settings = context.settings
        let process = "\(ProcessInfo.processInfo.hostName):\(ProcessInfo.processInfo.processIdentifier)"
        var services: [any WorkerService] = (1...settings.workers).map {
            Worker(context: context, process: process, number: $0)
        }
        if settings.hasExpressWorker { services.append(Worker.express(context: context, process: process)) }
        services.append(Maintenance(context: context))
        if settings.deliver && !drains { services.append(Deliverer(context: context)) }
        if settings.checkInterval > .zero {
            services.append(LedgerChecker(context: context, stopWorkers: { [weak self] in self?.finish() }))
        }
        return services
    }

    private func thread(_ service: any WorkerService, startsAfter leader: ServiceThread?) -> ServiceThread {
        ServiceThread(service, base, context, changed: changed, startsAfter: leader)
    }

    /// What each service does now; empty before `run`.
    package var status: [ServiceStatus] { threads.withLock { $0 }.map(\.status) }

    /// A producer in this process has committed jobs: the workers need not wait until the poller finds their strands.
    package func enqueued(in strands: Set<Strand>) { context.laneQueue.enqueueOfProducer(strands) }

    /// A producer in this process offers calls, which a worker decides with its next batch of the lane.
    ///
    /// - Returns: false when no worker will take them soon: they stay the producer's.
    package func offer(_ offer: ImmediateOffer) -> Bool {
        context.immediateOffers.add(offer)
        return context.laneQueue.enqueueForOffer(offer.lane, of: offer.stores) || !offer.withdraw()
    }

    /// Lets every worker end its batch; nothing more is claimed.
    package func finish() {
        context.onEvent(.stopping)
        context.stop.finish()
        wakeAll()
    }

    /// Cancels the current batches; the server rolls them back.
    package func abort() {
        context.stop.abort()
        wakeAll()
    }

    private func wakeAll() {
        context.laneQueue.stop()
        context.pollerWakeUp.wake()
        changed.signal()
    }

    /// Waits until all have ended or, when the pool is stopping, hold no lock.
    private func wait(for threads: [ServiceThread]) {
        while !threads.allSatisfy({ $0.hasEnded || context.stop.isFinishing && $0.isConnecting }) { changed.wait() }
    }
}
