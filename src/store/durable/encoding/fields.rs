//! Reading parts of records back. They passed a checksum, so that whatever is wrong is another version's.
use super::UnknownForm;
use crate::packet::{RetainHandling, SubscriptionOptions, Will};
use crate::store::{POSITIONS_MAX, Target, Targets};
use crate::types::{
    Attributes, ClientId, Identity, Message, Now, PacketId, PublishProperties, QoS, SessionKey, Stamp, SubscriptionIds,
    Text, TopicFilter, TopicName,
};
use bytes::{Buf, Bytes};
use std::net::IpAddr;
use std::sync::Arc;

/// A cursor over a record.
pub struct Fields(Bytes);

impl Fields {
    pub fn of(bytes: Bytes) -> Self {
        Self(bytes)
    }

    pub fn u8(&mut self) -> Result<u8, UnknownForm> {
        self.0.try_get_u8().map_err(|_| UnknownForm)
    }

    pub fn u32(&mut self) -> Result<u32, UnknownForm> {
        self.0.try_get_u32_le().map_err(|_| UnknownForm)
    }

    /// See [`super::put::number`].
    pub fn number(&mut self) -> Result<u64, UnknownForm> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(UnknownForm)
    }

    pub fn session(&mut self) -> Result<SessionKey, UnknownForm> {
        self.number().map(SessionKey)
    }

    pub fn now(&mut self) -> Result<Now, UnknownForm> {
        self.number().map(Now::from_millis)
    }

    pub fn flag(&mut self) -> Result<bool, UnknownForm> {
        self.u8().map(|value| value == 1)
    }

    pub fn blob(&mut self) -> Result<Bytes, UnknownForm> {
        let count = usize::try_from(self.number()?).map_err(|_| UnknownForm)?;
        if count > self.0.len() {
            return Err(UnknownForm);
        }
        Ok(self.0.split_to(count))
    }

    pub fn text(&mut self) -> Result<Text, UnknownForm> {
        Text::parse(self.blob()?).map_err(|_| UnknownForm)
    }

    pub fn topic(&mut self) -> Result<TopicName, UnknownForm> {
        TopicName::parse(self.text()?).map_err(|_| UnknownForm)
    }

    pub fn filter(&mut self) -> Result<TopicFilter, UnknownForm> {
        TopicFilter::parse(&self.text()?).map_err(|_| UnknownForm)
    }

    pub fn client_id(&mut self) -> Result<ClientId, UnknownForm> {
        ClientId::new(&self.text()?).ok_or(UnknownForm)
    }

    /// Everything that is left.
    pub fn rest_as_client_id(&mut self) -> Result<ClientId, UnknownForm> {
        let text = Text::parse(std::mem::take(&mut self.0)).map_err(|_| UnknownForm)?;
        ClientId::new(&text).ok_or(UnknownForm)
    }

    pub fn packet_id(&mut self) -> Result<PacketId, UnknownForm> {
        PacketId::new(self.0.try_get_u16_le().map_err(|_| UnknownForm)?).ok_or(UnknownForm)
    }

    pub fn qos(&mut self) -> Result<QoS, UnknownForm> {
        QoS::from_bits(self.u8()?).ok_or(UnknownForm)
    }

    pub fn option<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, UnknownForm>,
    ) -> Result<Option<T>, UnknownForm> {
        if self.flag()? { read(self).map(Some) } else { Ok(None) }
    }

    pub fn options(&mut self) -> Result<SubscriptionOptions, UnknownForm> {
        Ok(SubscriptionOptions {
            qos: self.qos()?,
            no_local: self.flag()?,
            retain_as_published: self.flag()?,
            retain_handling: match self.u8()? {
                0 => RetainHandling::Always,
                1 => RetainHandling::IfNew,
                2 => RetainHandling::Never,
                _ => return Err(UnknownForm),
            },
        })
    }

    pub fn will(&mut self) -> Result<Will, UnknownForm> {
        Ok(Will {
            topic: self.topic()?,
            payload: self.blob()?,
            qos: self.qos()?,
            retain: self.flag()?,
            delay_s: self.u32()?,
            properties: PublishProperties { expiry_s: self.option(Self::u32)?, forward: self.blob()? },
        })
    }

    /// See [`super::put::identity`].
    pub fn identity(&mut self) -> Result<Identity, UnknownForm> {
        let user = self.option(Self::owned_text)?;
        let groups = (0..self.number()?).map(|_| self.owned_text()).collect::<Result<_, _>>()?;
        let claims = (0..self.number()?).map(|_| Ok((self.string()?, self.string()?))).collect::<Result<_, _>>()?;
        let certificate = self.option(Self::owned_text)?;
        let address = self.option(|fields| {
            let octets = fields.blob()?;
            let v4 = <[u8; 4]>::try_from(octets.as_ref()).map(IpAddr::from);
            v4.or_else(|_| <[u8; 16]>::try_from(octets.as_ref()).map(IpAddr::from)).map_err(|_| UnknownForm)
        })?;
        let attributes = Attributes { groups, claims, certificate, expires_at_ms: None };
        Ok(Identity { user, address, ..Identity::default() }.with(attributes))
    }

    fn owned_text(&mut self) -> Result<Text, UnknownForm> {
        Ok(self.text()?.detached())
    }

    fn string(&mut self) -> Result<String, UnknownForm> {
        String::from_utf8(self.blob()?.to_vec()).map_err(|_| UnknownForm)
    }

    pub fn message(&mut self) -> Result<Message, UnknownForm> {
        Ok(Message {
            topic: self.topic()?,
            payload: self.blob()?,
            qos: self.qos()?,
            retain: self.flag()?,
            forward: self.blob()?,
            expires_at: self.option(Self::now)?,
            received: Stamp::default(),
        })
    }

    /// A place in a queue.
    pub fn position(&mut self) -> Result<u64, UnknownForm> {
        self.number().and_then(|position| if position <= POSITIONS_MAX { Ok(position) } else { Err(UnknownForm) })
    }

    /// See [`super::put::target`].
    pub fn target(&mut self, session: SessionKey, position: u64) -> Result<Target, UnknownForm> {
        let flags = self.u8()?;
        let has = |bit: u8| flags & (1 << bit) != 0;
        let qos = QoS::from_bits(flags & 0b11).ok_or(UnknownForm)?;
        let subscription_ids = if has(3) { self.ids()? } else { SubscriptionIds::default() };
        let share = if has(4) { Some(Arc::new(self.filter()?)) } else { None };
        let give_up_at = if has(5) { Some(self.now()?) } else { None };
        Ok(Target { session, position, qos, retain: has(2), subscription_ids, share, give_up_at })
    }

    /// See [`super::targets`].
    pub fn targets(&mut self) -> Result<Targets, UnknownForm> {
        let count = self.number()?;
        (0..count)
            .map(|_| {
                let (session, position) = (self.session()?, self.position()?);
                self.target(session, position)
            })
            .collect()
    }

    /// How many neighbours a record is about.
    pub fn run(&mut self) -> Result<u16, UnknownForm> {
        u16::try_from(self.number()?).ok().filter(|count| *count > 0).ok_or(UnknownForm)
    }

    fn ids(&mut self) -> Result<SubscriptionIds, UnknownForm> {
        let count = self.number()?;
        (0..count).map(|_| self.id()).collect::<Result<Vec<_>, _>>().map(SubscriptionIds::from)
    }

    /// A Subscription Identifier.
    pub fn id(&mut self) -> Result<u32, UnknownForm> {
        u32::try_from(self.number()?).map_err(|_| UnknownForm)
    }
}
