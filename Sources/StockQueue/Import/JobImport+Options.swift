import StockFormats
import StockModel

extension JobImport {
    public struct Options: Sendable {
        /// How the records are written.
        public var form = InputForm()
        /// CSV by default.
        public var format: InputFormat {
            get { form.format }
            set { form.format = newValue }
        }
        /// The priority of jobs whose record gives none. Default 3: below the jobs of live orders.
        public var defaultPriority = 3
        /// One bad record rejects the whole input: nothing is enqueued.
        public var isStrict = false
        /// Skip the records up to this line; to resume an import that stopped.
        public var afterLine = 0
        /// Rows in a transaction. Default 50,000; 1–10,000,000.
        public var rowsPerCommit = 50_000
        /// The longest time for which complete rows stay uncommitted, unless the import is strict: of an input that is
        /// still written, such as a pipe from `tail -f`. Default 1 s.
        public var commitInterval = Duration.seconds(1)
        /// Lines in a group; a group with more is rejected. Default 10,000.
        public var groupLinesMax = GroupLimit.linesMax
        /// Gives each record without a key of its own this text, a slash and the number of its line as idempotency key,
        /// so that importing the input again enqueues nothing twice. A record of a file of rejects has the number of its
        /// line in the file that was imported first.
        public var idempotencyPrefix: String?
        /// Of the jobs whose record gives none.
        public var reference: String?
        /// Of the jobs whose record gives none.
        public var reason: String?
        /// Remove white space at both ends of each field.
        public var trims: Bool {
            get { form.trims }
            set { form.trims = newValue }
        }
        /// Decide what would happen, and enqueue nothing.
        public var isDryRun = false

        public init() {}
    }
}
