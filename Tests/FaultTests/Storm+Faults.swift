import Foundation
import PrivateCluster
import StockQueueLocking
import StockQueuePostgres
import TestSupport

extension Storm {
    enum Fault: String, CaseIterable {
        case workerKilled, workerFrozen, workerStopped, sessionEnded, allSessionsEnded, backendKilled, backendFrozen
        case serverFast, serverImmediate, serverKilled
        case connectionsCut, cutInMessage, silence, connectionsRejected, slow, errorInjected, itemsLocked
        case producerHung, readerHeld, triggerRaises, giantGroup
        case gatewayKilled, gatewayFrozen, gatewayStopped
        case delivererKilled, delivererFrozen, delivererStopped
        case receiverKilled, receiverFails, receiverCuts, receiverLeaves, receiverSilent
    }

    func strike(_ fault: Fault) throws {
        recoveryTimes.faultBegins(fault.rawValue)
        let worker = random.pick(workers)
        let shortly = 100 + random.below(900)
        tally.say("\(fault.rawValue)")
        switch fault {
        case .workerKilled: worker.send(SIGKILL)
        case .workerStopped: worker.send(random.pick([SIGTERM, SIGINT]))
        case .workerFrozen: freeze(worker.processID, milliseconds: 200 + random.below(7_000))
        case .backendFrozen: if let backend = try backend() { freeze(backend, milliseconds: shortly) }
        case .backendKilled: if let backend = try backend() { kill(backend, SIGKILL) }
        case .sessionEnded: try endSessions(1)
        case .allSessionsEnded: try endSessions(100)
        case .serverFast: try restart(.fast, shortly)
        case .serverImmediate: try restart(.immediate, shortly)
        case .serverKilled: try restart(.kill, shortly)
        case .connectionsCut: rig.proxy.cutAll()
        case .connectionsRejected:
            rig.proxy.rejectConnections(true)
            rig.proxy.cutAll()
            pause(milliseconds: shortly)
            rig.proxy.rejectConnections(false)
        case .cutInMessage, .silence, .errorInjected: once(fault)
        case .slow:
            setRule { _ in .delay(milliseconds: 3) }
            pause(milliseconds: shortly)
            setRule { _ in .pass }
        case .itemsLocked: try lockItems(milliseconds: shortly)
        case .producerHung: hangProducer()
        case .readerHeld: try migrateBesideReader()
        case .triggerRaises: try raiseInTrigger()
        case .giantGroup: try enqueueGiantGroup()
        case .gatewayKilled:
            gateway.send(SIGKILL)
            _ = try gateway.wait()
        case .gatewayStopped:
            gateway.send(SIGTERM)
            _ = try gateway.wait()
        case .gatewayFrozen:
            if let process = gateway.processID { freeze(process, milliseconds: 200 + random.below(5_000)) }
        default: try strikeDeliveries(fault, shortly)
        }
    }

    private func strikeDeliveries(_ fault: Fault, _ shortly: Int) throws {
        switch fault {
        case .delivererKilled: deliveries.send(SIGKILL)
        case .delivererStopped: deliveries.send(random.pick([SIGTERM, SIGINT]))
        case .delivererFrozen:
            if let process = deliveries.processID { freeze(process, milliseconds: 200 + random.below(7_000)) }
        case .receiverKilled:
            try deliveries.receiver.kill()
            pause(milliseconds: shortly)
            try deliveries.receiver.startAgain()
        case .receiverFails: try receiverBecomes(.fails, shortly)
        case .receiverCuts: try receiverBecomes(.cuts, shortly)
        case .receiverLeaves: try receiverBecomes(.leaves, shortly)
        case .receiverSilent: try receiverBecomes(.silent, 2 * shortly)
        // A mistake of the caller, which would otherwise pass for a fault that did no harm.
        default: fatalError("\(fault) is no fault of deliveries")
        }
    }

    private func receiverBecomes(_ mood: WebhookReceiver.Mood, _ milliseconds: Int) throws {
        try deliveries.receiver.becomes(mood)
        pause(milliseconds: milliseconds)
        try deliveries.receiver.becomes(.ok)
    }

    /// Acts at one of the next messages of a worker or of a deliverer.
    private func once(_ fault: Fault) {
        let offset = random.below(400)
        let code = random.pick(Faults.Content.transient + Faults.Content.ofData)
        let left = Mutex(random.below(60))
        setRule { message in
            guard message.isOfWorker || message.isOfDeliverer else { return .pass }
            if fault == .errorInjected && !(message.direction == .toServer && message.isOf("B")) { return .pass }
            let isNow = left.withLock { left in
                left -= 1
                return left == -1
            }
            if !isNow { return .pass }
            switch fault {
            case .cutInMessage: return .cutAfter(offset)
            case .silence: return .silence
            default: return .fail(sqlState: code)
            }
        }
    }

    private func freeze(_ process: Int32, milliseconds: Int) {
        kill(process, SIGSTOP)
        let thread = Thread {
            pause(milliseconds: milliseconds)
            kill(process, SIGCONT)
        }
        thread.start()
    }

    private func restart(_ how: PrivateCluster.Shutdown, _ downMs: Int) throws {
        try cluster.shutDown(how)
        pause(milliseconds: downMs)
        try cluster.startAgain()
    }

    /// The server's process of a random session of a worker or a deliverer; nil if there is none. (A signal to 0 would reach this process
    /// group.)
    private func backend() throws -> Int32? {
        let pid = try waitingForServer {
            try rig.database.value(
                """
                SELECT pid FROM pg_stat_activity
                WHERE application_name LIKE 'stockq run worker%' OR application_name LIKE 'stockq%deliverer'
                ORDER BY random() LIMIT 1
                """)
        }
        return Int32(pid)
    }

    private func endSessions(_ count: Int) throws {
        try waitingForServer {
            try rig.database.run(
                """
                SELECT pg_terminate_backend(pid) FROM (
                    SELECT pid FROM pg_stat_activity
                    WHERE application_name LIKE 'stockq run%' OR application_name LIKE 'stockq deliver%'
                    ORDER BY random() LIMIT \(count)
                ) AS session
                """)
        }
    }

    /// Locks items in the opposite order of the workers. A server that ends this session ends the fault.
    private func lockItems(milliseconds: Int) throws {
        try waitingForServer {
            let admin = try rig.database.connect()
            do {
                try admin.executeScript("BEGIN")
                for item in ["item-5", "item-3", "item-1"] {
                    try admin.executeScript("SELECT FROM stockq.items WHERE item_id = '\(item)' FOR UPDATE")
                }
            } catch let error as PostgresError where error.sqlState == .deadlockDetected {
                return
            }
            pause(milliseconds: milliseconds)
        }
    }
}
