import Foundation

/// The account that the server runs under: PostgreSQL does not run as root, so root switches to another account.
struct ServerAccount {
    struct User {
        var name: String
        var id: uid_t
        var group: gid_t
    }

    /// Nil if the server runs under this process's account.
    let switchTo: User?

    /// The account without privileges that most systems have.
    private static let unprivilegedID: uid_t = 65_534

    /// - Throws: `ClusterError` if this process is root and there is no account to switch to.
    static func choose() throws -> ServerAccount {
        if geteuid() != 0 { return ServerAccount(switchTo: nil) }
        guard let entry = getpwnam("postgres") ?? getpwuid(unprivilegedID) else {
            throw ClusterError(
                description: "PostgreSQL does not run as root, and there is no user postgres and none with the id 65534"
            )
        }
        let user = entry.pointee
        return ServerAccount(switchTo: User(name: String(cString: user.pw_name), id: user.pw_uid, group: user.pw_gid))
    }

    func command(_ words: [String]) -> [String] {
        guard let user = switchTo else { return words }
        return [
            "/usr/bin/setpriv", "--reuid", String(user.id), "--regid", String(user.group), "--clear-groups", "--",
        ] + words
    }
}
