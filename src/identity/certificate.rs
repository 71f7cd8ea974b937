//! The name in a client's certificate as its user.
use super::proof::is_user_name;
use super::{Denial, Judgement, Proof, Proved};

pub(super) fn judge(user_must_match: bool, proof: &Proof) -> Judgement {
    let Some(name) = &proof.certificate else { return Judgement::Unknown };
    if !is_user_name(name.as_str()) {
        return Judgement::Denied(Denial::UserName);
    }
    if user_must_match && proof.user.as_ref().is_some_and(|user| user != name) {
        return Judgement::Denied(Denial::OtherUser);
    }
    Judgement::Proved(Proved::user(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Text;

    fn proof(certificate: Option<&str>, user: Option<&str>) -> Proof {
        let text = |name: &str| Text::try_from(name).expect("legal text");
        Proof { certificate: certificate.map(text), user: user.map(text), ..Proof::default() }
    }

    #[test]
    fn the_name_in_the_certificate_is_the_user() {
        let proved = |name| Judgement::Proved(Proved::user(&Text::try_from(name).expect("legal text")));
        assert_eq!(judge(true, &proof(Some("pump-7"), None)), proved("pump-7"));
        assert_eq!(judge(true, &proof(Some("pump-7"), Some("pump-7"))), proved("pump-7"));
        assert_eq!(judge(true, &proof(Some("pump-7"), Some("ann"))), Judgement::Denied(Denial::OtherUser));
        assert_eq!(judge(false, &proof(Some("pump-7"), Some("ann"))), proved("pump-7"));
    }

    #[test]
    fn without_a_certificate_others_are_asked() {
        assert_eq!(judge(true, &proof(None, Some("ann"))), Judgement::Unknown);
    }

    #[test]
    fn a_certificate_cannot_bring_control_characters_in() {
        assert_eq!(judge(false, &proof(Some("a\nb"), None)), Judgement::Denied(Denial::UserName));
    }
}
