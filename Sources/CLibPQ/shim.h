#pragma once
// Debian keeps libpq's headers in a folder of their own; elsewhere they are on the default path.
#if __has_include(<postgresql/libpq-fe.h>)
#include <postgresql/libpq-fe.h>
#else
#include <libpq-fe.h>
#endif

// The PG_DIAG_* macros are character constants, which Swift does not import.
enum stockq_diag {
    stockq_diag_severity = PG_DIAG_SEVERITY_NONLOCALIZED,
    stockq_diag_sqlstate = PG_DIAG_SQLSTATE,
    stockq_diag_message = PG_DIAG_MESSAGE_PRIMARY,
    stockq_diag_detail = PG_DIAG_MESSAGE_DETAIL,
    stockq_diag_hint = PG_DIAG_MESSAGE_HINT,
    stockq_diag_context = PG_DIAG_CONTEXT,
    stockq_diag_table = PG_DIAG_TABLE_NAME,
    stockq_diag_constraint = PG_DIAG_CONSTRAINT_NAME
};
