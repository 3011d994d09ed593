/// The version of this package, and the commit that it was built from.
package enum Version {
    package static let number = "0.3.0"

    /// The commit's first seven digits, with `+changes` if the working tree had changes; `unknown` outside git.
    ///
    /// The plugin CommitStamp writes its value before every build.
    package static var commit: String { stampedCommit }
}
