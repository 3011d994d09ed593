/// One SQL file of this folder, carried by the binary.
package struct Migration: Sendable {
    package enum Kind: String, Sendable {
        /// Tables, types, indexes and policies: applied once, in order, and never edited after a release.
        case numbered
        /// Functions and views: applied again whenever the text changes.
        case repeatable
        /// Repeatable, and optional.
        case wakeUpTrigger = "wakeup_trigger"
        /// The roles and their privileges, for a user that may create roles.
        case roles
    }

    package let kind: Kind
    /// The file's path below this folder, for instance `functions/enqueue.sql`.
    package let name: String
    /// The file's text, in which `:"schema"` means the schema's quoted name.
    package let sql: String
    /// The repeatable scripts whose functions this numbered file calls. A new schema gets them first, in the same
    /// transaction.
    package let requires: [String]
    /// SHA-256 of the text in hexadecimal digits, computed here so that no text travels to be compared.
    package let checksum: String

    package init(_ kind: Kind, _ name: String, requires: [String] = [], sql: String) {
        self.kind = kind
        self.name = name
        self.requires = requires
        self.sql = sql
        checksum = SHA256.hexDigest(of: Array(sql.utf8))
    }

    private init(_ kind: Kind, _ name: String, requires: [String] = [], _ bytes: [UInt8]) {
        self.init(kind, name, requires: requires, sql: String(decoding: bytes, as: UTF8.self))
    }

    /// Every file in the order of application, but the roles.
    ///
    /// A new file is named here and in Package.swift; a test compares both with the folder. Views come before the
    /// functions that return their rows, and functions before those whose bodies call them.
    package static let all: [Migration] = [
        Migration(.numbered, "0001_initial.sql", requires: ["functions/access.sql"], PackageResources._001_initial_sql),
        Migration(.numbered, "0002_group_limit.sql", PackageResources._002_group_limit_sql),
        Migration(.numbered, "0003_limits_and_locks.sql", PackageResources._003_limits_and_locks_sql),
        Migration(.numbered, "0004_stock.sql", PackageResources._004_stock_sql),
        Migration(.numbered, "0005_due_jobs_by_lane.sql", PackageResources._005_due_jobs_by_lane_sql),
        Migration(.numbered, "0006_gateway.sql", PackageResources._006_gateway_sql),
        Migration(.numbered, "0007_results_by_time.sql", PackageResources._007_results_by_time_sql),
        Migration(.numbered, "0008_delivery.sql", PackageResources._008_delivery_sql),
        Migration(.numbered, "0009_imports.sql", PackageResources._009_imports_sql),
        Migration(.numbered, "0010_reconciliations.sql", PackageResources._010_reconciliations_sql),
        Migration(.numbered, "0011_counts_and_details.sql", PackageResources._011_counts_and_details_sql),
        Migration(.numbered, "0012_strands.sql", PackageResources._012_strands_sql),
        Migration(.repeatable, "views/own_rows.sql", PackageResources.own_rows_sql),
        Migration(.repeatable, "views/jobs.sql", PackageResources.jobs_sql),
        Migration(.repeatable, "views/messages.sql", PackageResources.messages_sql),
        Migration(.repeatable, "functions/access.sql", PackageResources.access_sql),
        Migration(.repeatable, "functions/locks.sql", PackageResources.locks_sql),
        Migration(.repeatable, "functions/partitions.sql", PackageResources.partitions_sql),
        Migration(.repeatable, "functions/retention.sql", PackageResources.retention_sql),
        Migration(.repeatable, "functions/checks.sql", PackageResources.checks_sql),
        Migration(.repeatable, "functions/enqueue.sql", PackageResources.enqueue_sql),
        Migration(.repeatable, "functions/keys.sql", PackageResources.keys_sql),
        Migration(.repeatable, "functions/lists.sql", PackageResources.lists_sql),
        Migration(.repeatable, "functions/lookup.sql", PackageResources.lookup_sql),
        Migration(.repeatable, "functions/feeds.sql", PackageResources.feeds_sql),
        Migration(.repeatable, "functions/admin.sql", PackageResources.admin_sql),
        Migration(.repeatable, "functions/pause.sql", PackageResources.pause_sql),
        Migration(.repeatable, "functions/settings.sql", PackageResources.settings_sql),
        Migration(.repeatable, "functions/items.sql", PackageResources.items_sql),
        Migration(.repeatable, "functions/imports.sql", PackageResources.imports_sql),
        Migration(.repeatable, "functions/reconcile.sql", PackageResources.reconcile_sql),
        Migration(.repeatable, "functions/move.sql", PackageResources.move_sql),
        Migration(.repeatable, "functions/tokens.sql", PackageResources.tokens_sql),
        Migration(.repeatable, "functions/gateway.sql", PackageResources.gateway_sql),
        Migration(.repeatable, "functions/native.sql", PackageResources.native_sql),
        Migration(.repeatable, "functions/alerts.sql", PackageResources.alerts_sql),
        Migration(.repeatable, "functions/delivery.sql", PackageResources.delivery_sql),
        Migration(
            .repeatable, "functions/native_notifications.sql", PackageResources.native_notifications_sql),
        Migration(.wakeUpTrigger, "wakeup_trigger.sql", PackageResources.wakeup_trigger_sql),
    ]

    /// The roles of a queue and their privileges, to be run after the other files; safe to run again.
    package static let roles = Migration(.roles, "roles.sql", PackageResources.roles_sql)
}
