/// What a request to one of the routes is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    LoginPage,
    BeginLogin,
    BeginConnect,
    FinishLogin,
    FinishConnect,
    FinishTest,
    LogOut,
}

impl Operation {
    /// The name in the log.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::LoginPage => "login_page",
            Self::BeginLogin => "begin_login",
            Self::BeginConnect => "begin_connect",
            Self::FinishLogin => "finish_login",
            Self::FinishConnect => "finish_connect",
            Self::FinishTest => "finish_test",
            Self::LogOut => "log_out",
        }
    }
}
